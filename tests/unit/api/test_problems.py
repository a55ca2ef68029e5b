"""Errors as problems: every error of ours has an answer that says what to do."""

from __future__ import annotations

import pytest

from notifier import errors
from notifier.api.app import describe
from notifier.api.problems import translate

_CLIENT = {
    errors.MalformedEvent: 400,
    errors.EventTooLarge: 413,
    errors.SchemaMismatch: 422,
    errors.PlanningError: 422,
    errors.ForbiddenTarget: 422,
    errors.InvalidAddress: 422,
    errors.NotFound: 404,
    errors.BrokerUnavailable: 503,
    errors.StorageUnavailable: 503,
    errors.PublishRejected: 503,
    errors.RenderError: 422,
}


@pytest.mark.parametrize(("kind", "status"), _CLIENT.items())
def test_each_error_has_its_status_and_says_what_to_do(kind: type[errors.NotifierError], status: int) -> None:
    problem = translate(kind("because"))

    assert problem.body.status == problem.status_code == status
    assert problem.body.detail.endswith("because")
    assert problem.body.title
    assert problem.body.do
    assert ("Retry-After" in (problem.headers or {})) == (status == 503)


def test_the_field_of_an_invalid_event_is_told() -> None:
    assert translate(errors.SchemaMismatch("must be a number", "data.total")).body.where == "data.total"


def test_an_error_without_an_entry_tells_no_details() -> None:
    problem = translate(errors.InvalidBatch("internals"))

    assert problem.status_code == 500
    assert "internals" not in problem.body.detail


def test_every_path_of_the_description_has_a_summary_an_explanation_and_its_problems() -> None:
    for path, methods in describe()["paths"].items():
        for operation in methods.values():
            assert operation["summary"]
            if path.startswith("/v1/"):
                assert "Role: `" in operation["description"], path
                assert {"401", "403"} <= set(operation["responses"]), path
                assert operation["security"] == [{"token": []}]


def test_the_description_knows_no_errors_but_problems() -> None:
    description = describe()

    assert "HTTPValidationError" not in str(description)
    assert "ProblemBody" in description["components"]["schemas"]
