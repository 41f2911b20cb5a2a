"""Which functions look like a command's or a job's, why, and which do not."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import dedent

import pytest

from requestcov._source import digest_of, parse
from requestcov.analysis.dead_jobs import Jobs


def hints(
    text: str,
    path: str = "shop/work.py",
    scripts: Mapping[tuple[str, str], str] | None = None,
    **others: str,
) -> dict[str, str]:
    """Qualified name -> reason, of the functions that have one."""
    texts = {path: dedent(text), **{f"shop/{name}.py": other for name, other in others.items()}}
    files = {name: parse(name, digest_of(content.encode()), content) for name, content in texts.items()}
    jobs = Jobs(files, scripts or {})
    found = {function.name: jobs.hint(path, function.line) for function in files[path].functions}
    return {name: reason for name, reason in found.items() if reason}


@pytest.mark.parametrize(
    ("imported", "decorator", "written"),
    [
        ("from celery import shared_task", "@shared_task", "shared_task"),
        ("from celery import shared_task", "@shared_task(bind=True)", "shared_task"),
        ("from shop.celery import app", "@app.task", "app.task"),
        ("import dramatiq", "@dramatiq.actor(max_retries=3)", "dramatiq.actor"),
        ("from rq.decorators import job", "@job('low')", "job"),
        ("from django_rq import job as later", "@later", "later"),
        ("from shop import huey", "@huey.periodic_task(every)", "huey.periodic_task"),
        ("from huey.contrib.djhuey import db_task", "@db_task()", "db_task"),
        ("from shop import scheduler", "@scheduler.scheduled_job('cron')", "scheduler.scheduled_job"),
        ("import click", "@click.command()", "click.command"),
        ("from click import command", "@command()", "command"),
        ("from shop import app", "@app.cli.command('seed')", "app.cli.command"),
        ("import typer; app = typer.Typer()", "@app.command()", "app.command"),
    ],
)
def test_a_decorator_of_a_task_or_a_command_is_a_hint(imported: str, decorator: str, written: str):
    text = f"{imported}\n\n{decorator}\ndef work():\n    return 1\n"
    assert hints(text) == {"work": f"decorated with @{written}"}


@pytest.mark.parametrize(
    "decorator",
    [
        "@receiver(post_save)",
        "@app.get('/')",
        "@app.route('/')",
        "@job",  # of nobody knows where
        "@property",
        "@app.on_event('startup')",
        "@functools.cache",
        "@app.errorhandler(404)",
        "@register.filter",
    ],
)
def test_what_requests_call_is_none(decorator: str):
    assert hints(f"{decorator}\ndef work():\n    return 1\n") == {}


def test_what_runs_as_a_script_is_a_hint():
    text = """\
    def main():
        return 1

    async def serve():
        return 2

    def create():
        return 3

    if __name__ == "__main__":
        main()
        asyncio.run(serve())
    else:
        create()
    """
    reason = 'called under if __name__ == "__main__"'
    assert hints(text) == {"main": reason, "serve": reason}
    assert hints("def go():\n    return 1\n\ngo()\n", "shop/__main__.py") == {"go": "called by __main__.py"}
    assert hints("def go():\n    return 1\n\ngo()\n") == {}


def test_an_entry_point_of_the_project_is_a_hint_in_its_own_module():
    scripts = {("shop.work", "main"): "the script shop", ("shop.work", "Tool.run"): "the script tool"}
    text = "def main():\n    return 1\n\nclass Tool:\n    def run(self):\n        return 2\n"
    assert hints(text, scripts=scripts) == {
        "main": "called by the script shop",
        "Tool.run": "called by the script tool",
    }
    assert hints(text, "src/shop/work.py", scripts)["main"] == "called by the script shop"
    assert hints(text, "shop/other.py", scripts) == {}


def test_a_management_command_and_a_migration_are_hints():
    text = "class Command:\n    def handle(self):\n        return help_()\n\ndef help_():\n    return 1\n"
    assert hints(text, "shop/management/commands/sync.py") == {
        "Command.handle": "in Django's management command sync",
        "help_": "in Django's management command sync",
    }
    assert hints(text, "shop/management/commands/_base.py") == {}
    assert hints(text, "shop/migrations/0002_fill.py")["help_"] == "in a Django migration"
    alembic = "revision = 'a'\ndown_revision = None\n\ndef upgrade():\n    return 1\n"
    assert hints(alembic) == {"upgrade": "in an Alembic migration"}
    assert hints(alembic.replace("down_revision", "other")) == {}


def test_what_is_given_to_a_scheduler_is_a_hint():
    text = "def mail():\n    return 1\n\ndef view(queue):\n    queue.enqueue(mail, 1)\n"
    assert hints(text) == {"mail": "given to enqueue()"}


HELPED = """\
from celery import shared_task


@shared_task
def sync():
    fetch()
    shared()


def fetch():
    parse()


def parse():
    return 1


def shared():
    return 2


def view():
    shared()
"""


def test_what_only_such_a_function_calls_goes_with_it():
    assert hints(HELPED) == {
        "sync": "decorated with @shared_task",
        "fetch": "called only by sync",
        "parse": "called only by fetch",
    }


@pytest.mark.parametrize(
    "other",
    ["from shop.work import fetch\n", "import shop.work\nshop.work.fetch()\n", "NAME = 'shop.work.fetch'\n"],
)
def test_what_another_file_may_use_is_no_helper_of_a_job(other: str):
    assert hints(HELPED, other=other) == {"sync": "decorated with @shared_task"}


@pytest.mark.parametrize(
    "use",
    [
        "\n\nTABLE = {'f': fetch}\n",
        "\n\nTABLE = ['fetch']\n",
        "\n\ndef late(x=fetch):\n    return x\n",
        "\n\nclass View:\n    def get(self):\n        fetch()\n",
    ],
)
def test_what_is_used_in_another_way_is_no_helper_of_a_job(use: str):
    assert hints(HELPED + use) == {"sync": "decorated with @shared_task"}


def test_a_function_inside_a_job_goes_with_it():
    text = (
        "import click\n\n@click.command()\ndef run():\n    def inner():\n        return 1\n    return inner\n"
    )
    assert hints(text)["run.<locals>.inner"] == "inside run: decorated with @click.command"


def test_a_text_beyond_this_python_has_no_hint():
    assert Jobs({"a.py": parse("a.py", "d", "def (:\n")}, {}).hint("a.py", 1) is None
