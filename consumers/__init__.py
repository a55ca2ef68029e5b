"""The RabbitMQ edge: topology, connection, envelope, batching and the intake consumer; imports pika, never Celery."""
