"""Where the tokens of an XOAUTH2 login come from, by the settings."""

from __future__ import annotations

import os
import shlex
import time

from notifier.engine.smtp_connect import RelayAddress
from notifier.engine.tokens import CommandToken, FileToken, TokenSource
from notifier.errors import Problem, SettingsError
from notifier.settings import PREFIX, Settings, split_list


def build_tokens(ours: Settings) -> TokenSource | None:
    """Where tokens for XOAUTH2 come from, if they do. Raises `SettingsError` when nobody could use them."""
    if ours.smtp_token_file is None and not ours.smtp_token_command:
        return None
    if ours.smtp_token_file is not None and ours.smtp_token_command:
        problem = Problem(
            "NOTIFIER_SMTP_TOKEN_FILE", "NOTIFIER_SMTP_TOKEN_COMMAND is set as well", "set one of the two"
        )
        raise SettingsError([problem])
    addresses = [RelayAddress.parse(url) for url in split_list(ours.smtp_url)]
    if not any(address.username and not address.password for address in addresses):
        fix = "write the user into the relay's URL, without a password: smtp://user%40example.org@host:587"
        raise SettingsError([Problem("NOTIFIER_SMTP_URL", "no relay has a user who logs in with a token", fix)])
    if ours.smtp_token_file is not None:
        return FileToken(ours.smtp_token_file)
    try:
        command = shlex.split(ours.smtp_token_command)
    except ValueError as error:
        fix = "quote it as in a shell"
        raise SettingsError([Problem("NOTIFIER_SMTP_TOKEN_COMMAND", f"cannot be read: {error}", fix)]) from None
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return CommandToken(command, environment, seconds=ours.smtp_token_seconds, clock=time.time)
