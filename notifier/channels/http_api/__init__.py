"""Providers' HTTP APIs, each described by a file: SMS, push, chat.

`composing` makes the request, `outcomes` reads the answer by the file's table and its own, `health` remembers who is
left alone; `channel` puts them together. Connections, address guard and limits are the webhook channel's.
"""
