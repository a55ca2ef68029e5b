"""A Python that this machine does not have: Debian's of another release, in a folder, with that release's libraries.

Not in a root of its own as RabbitMQ is: tests start this machine's servers, and find what they write where they look.
"""

import shutil
from pathlib import Path

from tests.servers.debian import folder_of

#: Version → the Debian suite that has it.
SUITES = {"3.14": "sid"}
#: What Debian has turned into a path of its own, where `ensurepip` looks for pip.
_WHEELS = "/usr/share/python-wheels"


def debian_python(version: str) -> str | None:
    """The program; None for a version that no release has. Root only."""
    if version not in SUITES or shutil.which("mmdebstrap") is None:
        return None
    folder = folder_of(f"python{version}-venv", SUITES[version])
    program = folder / "usr/bin" / f"python{version}-here"
    if not program.exists():
        _find_wheels_in(folder, version)
        program.write_text(_START.format(folder=folder, version=version))
        program.chmod(0o755)
    return str(program)


#: The loader of that release, or its libraries would be looked for here; told as which program it was called, because
#: Python finds its environment beside itself.
_START = """#!/bin/sh
exec {folder}/usr/lib64/ld-linux-x86-64.so.2 --argv0 "$0" --library-path {folder}/usr/lib/x86_64-linux-gnu \\
    {folder}/usr/bin/python{version} "$@"
"""


def _find_wheels_in(folder: Path, version: str) -> None:
    for file in (folder / "usr/lib" / f"python{version}").glob("_sysconfig*_*"):
        text = file.read_text()
        file.write_text(
            text.replace(f"'{_WHEELS}", f"'{folder}{_WHEELS}").replace(f'"{_WHEELS}', f'"{folder}{_WHEELS}')
        )
