"""Logins of servers that ask Cyrus SASL: a database with one user, made by its own program."""

import shlex

#: Users of the database belong to a realm; the servers are told that theirs is this one.
REALM = "mail.test"


def sasl_settings(database: str) -> str:
    """What the library reads for a server: where its users are, and which mechanisms it offers."""
    return f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {database}\nmech_list: PLAIN LOGIN\n"


def sasl_password(login: tuple[str, str], database: str) -> str:
    """A shell command that makes the database."""
    user, secret = map(shlex.quote, login)
    return f"printf %s {secret} | saslpasswd2 -p -c -f {database} -u {REALM} {user}"
