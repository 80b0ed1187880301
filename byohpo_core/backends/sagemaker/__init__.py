"""Every trial a training job on Amazon SageMaker. Nothing here imports boto3 before a job is to be started."""
