"""The backend that runs each trial as an Amazon SageMaker training job. It imports boto3 only to start jobs."""
