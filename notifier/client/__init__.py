"""What other services import to publish events. Needs pika and the standard library, nothing else.

    from notifier.client import Publisher

    publisher = Publisher("amqp://user:password@host/vhost", source="/shop/orders")
    publisher.publish("order.placed", {"order": 17, "customer": "ann@example.org"})

Reading order: `publisher` → `event` → `connection` → `parameters`; what can go wrong is in `errors`.
"""
