"""``scalable check-run``: one line where all is well, a line for each violation where it is not."""

from __future__ import annotations

FLOW = """
def half(number):
    if number % 2:
        raise ValueError("odd")
    return number // 2

def main(client):
    client.collect(client.map(half, range(4)), progress=False)
"""


def test_a_run_that_is_in_itself_right(cli, workflow):
    workflow(FLOW)
    cli("run", "flow.py")
    code, out, err = cli("check-run")
    assert (code, err) == (0, "")
    assert out.startswith("ok: 4 tasks, 2 failed attempts (.scalable/runs/run-")


def test_injected_failures_are_counted_apart(cli, workflow):
    workflow(FLOW)
    cli("run", "flow.py", "--inject", "every=3")
    assert "3 failed attempts, 1 of them injected" in cli("check-run").out


def test_a_violation_is_named_and_ends_with_1(cli, workflow, workdir):
    workflow(FLOW)
    cli("run", "flow.py")
    (tasks,) = workdir.glob(".scalable/runs/*/tasks.jsonl")
    tasks.write_text("", encoding="utf-8")
    code, out, _ = cli("check-run", tasks.parent.name)
    assert code == 1
    assert out.startswith("wrong: 2 tasks, 2 failed attempts; 3 violations (")
    assert out.count("it failed, but never ended") == 2


def test_a_run_that_there_is_not_is_an_error(cli, workdir):
    code, out, err = cli("check-run", "nowhere")
    assert (code, out) == (1, "")
    assert "there are no runs in" in err
