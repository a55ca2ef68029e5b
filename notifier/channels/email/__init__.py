"""Email: from rendered words to bytes on an SMTP connection, and from the relay's reply to an `Outcome`.

`channel` composes and sends. `mime` writes the mail (`headers`, `bodies`, `attachments` write its parts), `addresses`
decides what may stand in an SMTP command, `dkim` signs, `unsubscribe` makes one-click links, `outcomes` is the table of
what each reply means.
"""
