"""A hidden Erlang node that runs commands inside a RabbitMQ node in milliseconds.

`rabbitmqctl` starts an Erlang machine for every command, one to two seconds each. One machine that stays and evaluates
lines from its standard input does the same work over one connection. When the test process dies, even by a kill, this
input ends, and the node takes the broker and the port mapper (epmd, without which it would not find the broker) along.
"""

import base64
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, cast

from tests.servers.patience import PATIENCE_S

# Reads one expression a line, evaluates it inside the broker, answers "ok <base64>" or "error <base64>".
_LOOP = """
Node = '{node}',
Answer = fun(Word, Text) ->
  io:format("~s ~s~n", [Word, base64:encode(unicode:characters_to_binary(Text))])
end,
Run = fun(Line) ->
  {{ok, Tokens, _}} = erl_scan:string(Line),
  {{ok, Expressions}} = erl_parse:parse_exprs(Tokens),
  case rpc:call(Node, erl_eval, exprs, [Expressions, []], 90000) of
    {{value, Value, _}} when is_binary(Value) -> Answer("ok", Value);
    {{value, Value, _}} -> Answer("ok", io_lib:format("~0p", [Value]));
    Failure -> Answer("error", io_lib:format("~0p", [Failure]))
  end
end,
Loop = fun(Again) ->
  case io:get_line("") of
    Line when is_list(Line) ->
      try Run(Line) catch _:Reason -> Answer("error", io_lib:format("~0p", [Reason])) end,
      Again(Again);
    _ ->
      rpc:call(Node, erlang, halt, [0, [{{flush, false}}]], 5000),
      {end},
      halt(0)
  end
end,
Loop(Loop).
"""


class ErlangError(RuntimeError):
    """The broker node refused or failed an expression."""


class ErlangControl:
    """Evaluates Erlang expressions inside one broker node."""

    def __init__(
        self,
        installed: Callable[[Sequence[str]], list[str]],
        erl: str,
        node: str,
        cookie: str,
        epmd: int | None,
        environment: Mapping[str, str],
        directory: Path,
        net_ticktime: int,
    ) -> None:
        """``installed`` puts a command where Erlang is; ``epmd`` is the process that ends with it."""
        end = "done" if epmd is None else f'os:cmd("kill -9 {epmd}")'
        # Nodes that disagree about the second take each other for dead.
        loopback = ["-kernel", "inet_dist_use_interface", "{127,0,0,1}", "-kernel", "net_ticktime", str(net_ticktime)]
        # Hidden, so that the broker never takes it for a member of its cluster.
        name = ["-hidden", "-sname", f"control-{node}", "-setcookie", cookie]
        with (directory / "control.log").open("ab") as log:
            self._process = subprocess.Popen(
                installed(
                    [erl, "-noshell", "+sbwt", "none", *loopback, *name, "-eval", _LOOP.format(node=node, end=end)]
                ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(environment),
                cwd=directory,
                start_new_session=True,
                text=True,
            )
        self._input, self._output = cast(IO[str], self._process.stdin), cast(IO[str], self._process.stdout)

    def run(self, expression: str) -> str:
        """The value of an expression: a binary as it is, anything else as Erlang prints it."""
        self._input.write(" ".join(expression.split()).rstrip(".") + ".\n")
        self._input.flush()
        word, _, encoded = self._output.readline().strip().partition(" ")
        answer = base64.b64decode(encoded).decode()
        if word != "ok":
            raise ErlangError(f"{expression}\n→ {answer or 'the control node has ended'}")
        return answer

    def close(self) -> None:
        """Ends the control node, and the broker with it if it still runs."""
        self._input.close()
        self._process.wait(PATIENCE_S)
        self._output.close()
