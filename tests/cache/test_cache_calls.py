"""What a caller of a cacheable function can rely on."""

from __future__ import annotations

import asyncio
import functools
import linecache
import os
import warnings

import pytest

from scalable.cache import CacheWarning, DirType, FileType, ObjectType, ValueType, cacheable
from scalable.cache.runner import Runner
from scalable.context import Attempt, Context, Settings, current

calls = []


@pytest.fixture(autouse=True)
def _no_calls():
    calls.clear()


@pytest.fixture
def notes():
    context = Context(Settings(), Attempt(number=1, max_attempts=1, key="k"))
    token = current.set(context)
    yield context.notes
    current.reset(token)


@cacheable
def add(a, b=5):
    calls.append((a, b))
    return a, b


@cacheable
def gather(first, /, *rest, flag=None, **named):
    calls.append(1)
    return first, rest, flag, named


def define(source, **names):
    """Run the text of a module that Python can find the source of."""
    name = f"<source {abs(hash(source))}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    space = {"cacheable": cacheable, "__name__": "defined", **names}
    exec(compile(source, name, "exec"), space)  # noqa: S102
    return space["f"]


def test_the_second_call_returns_what_the_first_computed():
    assert add(1) == add(1) == (1, 5)
    assert calls == [(1, 5)]


def test_none_is_a_value():
    @cacheable
    def nothing():
        calls.append(1)

    assert nothing() is nothing() is None
    assert calls == [1]


def test_positional_keyword_and_default_arguments_are_one_call():
    keys = {add.cache_key(3, 5), add.cache_key(3), add.cache_key(a=3), add.cache_key(b=5, a=3)}
    keys.add(add.cache_key(3, b=5))
    assert len(keys) == 1


def test_order_and_type_of_arguments_count():
    values = [(3, 5), (5, 3), (1,), ("1",), (1.0,), (True,), (-1,), (-2,), (None,), ([1],), ((1,),), (b"1",)]
    assert len({add.cache_key(*args) for args in values}) == len(values)


def test_variable_arguments_are_bound_by_name():
    assert gather.cache_key(1, 2, x=1, y=2) == gather.cache_key(1, 2, y=2, x=1, flag=None)
    others = [
        gather.cache_key(*a, **k) for a, k in [((1,), {}), ((1, 2), {}), ((2, 1), {}), ((1,), {"x": 1})]
    ]
    others += [gather.cache_key(1, first=1), gather.cache_key(1, flag=1), gather.cache_key(1, (2,))]
    assert len(set(others)) == len(others)


@pytest.mark.parametrize(
    ("args", "kwargs", "why"),
    [
        ((), {}, "missing a required argument: 'a'"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((1,), {"c": 1}, "unexpected keyword argument 'c'"),
        ((1,), {"a": 1}, "multiple values for argument 'a'"),
    ],
)
def test_a_call_that_does_not_fit_says_so_with_the_name_of_the_function(args, kwargs, why):
    with pytest.raises(TypeError, match=rf"test_cache_calls\.add\(\) .*{why}"):
        add(*args, **kwargs)


def test_positional_only_arguments_cannot_be_named():
    @cacheable
    def only(a, /):
        return a

    assert only(1) == 1
    with pytest.raises(TypeError, match=r"positional.only"):
        only(a=1)


def test_an_argument_without_a_key_is_named_with_the_ways_out():
    with pytest.raises(
        TypeError, match=r"argument 'b' cannot .* builtins\.object.*b=ObjectType.*ignore=\('b',\)"
    ):
        add(1, object())
    assert not calls


def test_a_failed_call_is_never_stored(notes):
    @cacheable
    def fails():
        calls.append(1)
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match=r"^no$"):
            fails()
    assert calls == [1, 1]
    assert [each["event"] for each in notes] == ["miss", "miss"]
    assert not fails.explain().hit


def test_source_defaults_version_and_return_type_change_the_key():
    text = "@cacheable\ndef f(a, b=1):\n    return a + b\n"
    variants = [
        define(text),
        define(text.replace("a + b", "a - b")),
        define(text.replace("b=1", "b=2")),
        define(text.replace("b=1", "b=B"), B=3),
        define(text.replace("b=1", "b=B"), B=4),
        define(text.replace("@cacheable", "@cacheable(version=1)")),
        define(text.replace("@cacheable", "@cacheable(version='1')")),
        define(text.replace("@cacheable", "@cacheable(return_type=int)")),
        define(text, __name__="elsewhere"),
        define(text.replace("a + b", "'''x\n  y''' and a + b")),
        define(text.replace("a + b", "'''x\n y''' and a + b")),
    ]
    keys = [function.cache_key(1, 2) for function in variants]
    assert len(set(keys)) == len(keys)
    assert define(text).cache_key(1, 2) == keys[0]


def test_decorators_indentation_and_place_do_not_change_the_key():
    text = '@cacheable\ndef f(a):\n    """Doc\n    string."""\n    return a, b"x\\ny"\n'
    indented = "if True:\n" + "".join(f"    {line}" for line in text.splitlines(keepends=True))
    keys = {
        define(each).cache_key(1)
        for each in (text, "\n\n" + text, text.replace("@", "@(lambda f: f)\n@"), indented)
    }
    assert len(keys) == 1


def test_without_source_the_compiled_code_tells():
    def compiled(body):
        space = {"__name__": "compiled", "cacheable": cacheable}
        exec(f"@cacheable\ndef f(a):\n    return {body}", space)  # noqa: S102
        return space["f"].cache_key(1)

    assert compiled("a + 1") == compiled("a + 1") != compiled("a + 2")
    one, other = cacheable(lambda a: a + 1), cacheable(lambda a: a + 2)
    assert one.cache_key(1) != other.cache_key(1)


def test_source_that_is_another_function_by_now_is_not_believed():
    text = "def f(a):\n    return a\n"
    plain = define(text)
    name = plain.__code__.co_filename
    true = cacheable(plain).cache_key(1)
    for changed in ("def g(a):\n    return a\n", "def f(:\n", ""):
        linecache.cache[name] = (1, None, changed.splitlines(keepends=True), name)
        assert cacheable(plain).cache_key(1) != true


def test_closure_variables_count_as_they_are_when_called():
    factor = 2

    @cacheable
    def scaled(x):
        return factor * x

    def other(x):
        return factor * x

    assert scaled(3) == 6
    factor = 3
    assert scaled(3) == 9
    factor = 4
    assert scaled.explain(3).differs == ("closure variable factor",)


def test_a_closure_variable_without_a_key_is_named():
    thing = object()

    @cacheable
    def uses(x):
        return thing and x

    @cacheable(ignore=("thing",))
    def forgets(x):
        return thing and x

    with pytest.raises(TypeError, match=r"closure variable 'thing' .*object.*ignore=\('thing',\)"):
        uses(1)
    assert forgets(1) == 1
    assert not forgets.explain(2).hit


def test_a_default_without_a_key_is_named_when_decorating():
    with pytest.raises(TypeError, match=r"the default of argument 'x' .*ignore=\('x',\)"):

        @cacheable
        def _uses(x=object()):  # noqa: B008
            return x

    @cacheable(ignore="x")
    def forgets(x=object()):  # noqa: B008
        return x is not None

    @cacheable(x=ObjectType)
    def by_state(x=Exception()):  # noqa: B008
        return str(x)

    assert forgets() is True
    assert by_state() == by_state(Exception()) == ""


def test_functions_may_call_themselves_and_each_other():
    @cacheable
    def fact(n):
        calls.append(n)
        return 1 if n == 0 else n * fact(n - 1)

    @cacheable
    def twice(n):
        return 2 * fact(n)

    assert fact(5) == 120
    assert twice(5) == 240
    assert calls == [5, 4, 3, 2, 1, 0]
    assert add.cache_key(fact) == add.cache_key(fact) != add.cache_key(twice)


def test_a_function_that_asks_for_its_own_result_is_computed_once_more_and_does_not_wait():
    @cacheable
    def again(n):
        calls.append(n)
        return again(n) if len(calls) < 3 else n

    assert again(1) == 1
    assert calls == [1, 1, 1]


def test_methods_key_their_object_and_super_is_no_obstacle():
    class Model:
        def __init__(self, n):
            self.n = n

        @cacheable({"self": ObjectType})
        def run(self, x):
            calls.append(x)
            return self.n * x

    class Sub(Model):
        @cacheable(self=ObjectType)
        def run(self, x):
            return super().run(x) + 1

    assert Model(2).run(3) == Model(2).run(3) == 6
    assert Model(3).run(3) == 9
    assert Sub(2).run(3) == 7
    assert len(calls) == 3


def test_the_key_of_a_method_says_how_to_ask_for_it():
    class Model:
        @cacheable(self=ObjectType)
        def run(self, x):
            return x

    model = Model()
    assert model.run(2) == 2
    assert Model.run.explain(model, 2).hit
    assert type(model).run.cache_key(model, 2) == Model.run.cache_key(model, x=2)
    with pytest.raises(
        TypeError, match=r"'x'; of a method, pass the object too: type\(obj\).run.cache_key\(obj, ..."
    ):
        model.run.cache_key(2)


def test_declared_arguments_are_checked_by_type():
    @cacheable(n=int, s=str | None, o=object, v=ValueType)
    def f(n, s="", o=None, v=0):
        return n, s, o, v

    assert f(1, None, o=True) == (1, None, True, 0)
    with pytest.raises(TypeError, match=r"argument 'n': expected int, got True \(bool\)"):
        f(n=True)
    with pytest.raises(TypeError, match=r"expected str \| None, got 1"):
        f(1, 1)
    with pytest.raises(TypeError, match="xxx… "):
        f("x" * 1000)


def test_a_default_of_none_is_as_good_as_the_declared_type():
    @cacheable(n=int, rest=int, named=str)
    def f(n=None, *rest, **named):
        return n, rest, named

    assert f() == (None, (), {})
    assert f(1, 2, x="1") == (1, (2,), {"x": "1"})
    with pytest.raises(TypeError, match="argument 'rest': expected int"):
        f(1, "2")
    with pytest.raises(TypeError, match="argument 'named': expected str"):
        f(1, x=2)


def test_ignored_arguments_do_not_count():
    @cacheable(ignore=("verbose", "y"), x=str)
    def f(a, *, verbose=False, **named):
        return a, verbose, named

    assert f(1, verbose=True) == f(1, verbose=False) == (1, True, {})
    assert f.cache_key(1, y=1) == f.cache_key(1) != f.cache_key(1, x="1")
    with pytest.raises(TypeError, match="expected str"):
        f(1, x=1)


def test_files_and_directories_are_keyed_by_content(tmp_path):
    @cacheable(path=FileType, tree=DirType)
    def f(path, tree=None):
        return 1

    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("1")
    other.write_text("1")
    assert f.cache_key(one) == f.cache_key(str(other))
    before = f.cache_key(one)
    one.write_text("2")
    assert f.cache_key(one) != before
    with pytest.raises(FileNotFoundError, match="argument 'path': No such file"):
        f(tmp_path / "none")
    with pytest.raises(TypeError, match=r"'path': .* is not a regular file"):
        f(tmp_path)
    with pytest.raises(TypeError, match="'path': expected a path, got 1"):
        f(1)
    with pytest.raises(TypeError, match=r"'tree': .* is not a directory"):
        f(one, one)


def test_a_tree_counts_by_names_contents_and_links(tmp_path):
    @cacheable(tree=DirType)
    def f(tree):
        return 1

    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "sub").mkdir(parents=True)
    outside.mkdir()
    seen = [f.cache_key(root)]

    def changed():
        seen.append(f.cache_key(root))
        return len(set(seen)) == len(seen)

    (root / "sub" / "a").write_text("1")
    assert changed()
    (root / "b").symlink_to("sub/a")
    assert changed()
    (root / "c").symlink_to(outside)
    assert changed()
    (outside / "x").write_text("1")
    assert changed()
    (root / "d").symlink_to("nowhere")
    assert changed()
    (root / "e").symlink_to(tmp_path / "nowhere")
    assert changed()
    (tmp_path / "nowhere").write_text("")
    assert changed()
    (root / "sub" / "a").rename(root / "sub" / "e")
    assert changed()
    (outside / "back").symlink_to(outside)
    with pytest.raises(TypeError, match="contains itself"):
        f(root)


@pytest.mark.parametrize(
    ("decorate", "why"),
    [
        (cacheable(bb=int), "no argument 'bb'; did you mean 'b'"),
        (cacheable(zzz=int), "no argument 'zzz'; it takes a, b"),
        (cacheable(ignore="zzz"), "no argument 'zzz'"),
        (cacheable(a=1), "'a' is declared as 1; expected a type"),
        (cacheable(a=int | FileType), "expected a type"),
        (cacheable(a=int, ignore="a"), "both declared and in `ignore`"),
        (cacheable(ignore=1), "ignore= takes names"),
        (cacheable(ignore=[1]), "ignore= takes names"),
        (cacheable(version=1.5), "version= takes a string or a whole number"),
        (cacheable(version=True), "version= takes"),
        (cacheable(return_type=DirType), "return an archive"),
        (cacheable(return_type=1), "is no type"),
        (lambda _: cacheable(lambda: (yield)), "generator function"),
        (lambda _: cacheable(len), "takes a Python function, got <built-in"),
        (lambda f: cacheable(staticmethod(f)), "put @staticmethod above @cacheable"),
        (lambda f: cacheable(cacheable(f)), "is cacheable already"),
    ],
)
def test_a_wrong_declaration_is_an_error_when_decorating(decorate, why):
    def f(a, b=1):
        return a, b

    with pytest.raises(TypeError, match=why):
        decorate(f)


def test_arguments_called_like_an_option_are_declared_in_a_mapping():
    def f(version, return_type=1):
        return version, return_type

    with pytest.raises(TypeError, match=r"argument called 'version'.*@cacheable\(\{'version': …\}, …\)"):
        cacheable(version=str)(f)
    with pytest.raises(TypeError, match="argument called 'return_type'"):
        cacheable(return_type=tuple)(f)
    declared = cacheable({"version": str, "return_type": int}, version="2", return_type=tuple)(f)
    assert declared("1") == ("1", 1)


def test_a_result_of_another_type_than_declared_is_an_error_and_not_stored():
    @cacheable(return_type=dict)
    def f(x):
        calls.append(x)
        return x

    assert f({}) == {}
    with pytest.raises(TypeError, match=r"returned int, but is declared with return_type=dict"):
        f(1)
    assert not f.explain(1).hit


def test_a_returned_file_is_put_back_as_it_was(tmp_path):
    out = tmp_path / "deep" / "out"

    @cacheable(return_type=FileType)
    def write(n):
        calls.append(n)
        out.parent.mkdir(exist_ok=True)
        out.write_text(str(n) * 3_000_000)
        out.chmod(0o640)
        return out

    for spoil in (lambda: None, lambda: out.write_text("x"), lambda: (out.unlink(), out.parent.rmdir())):
        assert write(1) == out
        spoil()
    assert write(1) == out
    assert out.read_text() == "1" * 3_000_000
    assert out.stat().st_mode & 0o777 == 0o640
    assert list(out.parent.iterdir()) == [out]
    assert calls == [1]


def test_a_declared_file_that_is_none_is_an_error(tmp_path):
    @cacheable(return_type=FileType)
    def f(path):
        return path

    with pytest.raises(TypeError, match=r"return_type=FileType, but returned int"):
        f(1)
    with pytest.raises(FileNotFoundError, match="its file cannot be read"):
        f(str(tmp_path / "none"))


def test_lost_contents_of_a_file_are_computed_again(tmp_path, cache_dir, caplog):
    @cacheable(return_type=FileType)
    def write(n):
        calls.append(n)
        (tmp_path / "out").write_text("1")
        return tmp_path / "out"

    def spoil(change):
        write(1)
        (tmp_path / "out").unlink()
        for each in cache_dir.glob("??/??/*.val"):
            change(each)
        write(1)
        assert (tmp_path / "out").read_text() == "1"

    spoil(lambda each: each.unlink())
    spoil(lambda each: each.write_text("2"))
    assert calls == [1, 1, 1]
    assert "cannot be read" in caplog.text
    assert "not what was stored" in caplog.text


def test_explain_says_what_differs_from_the_nearest_stored_call():
    assert "nor for any other call" in add.explain(1).reason
    add(1)
    add(7, 7)
    assert add.explain(1).hit
    assert str(add.explain(1)).startswith("hit: this call of test_cache_calls.add is stored (")
    missed = add.explain(1, 6)
    assert (missed.hit, missed.differs) == (False, ("argument b",))
    assert "the nearest of 2 stored calls" in str(missed)
    assert calls == [(1, 5), (7, 7)]


def test_explain_names_the_changed_source():
    text = "@cacheable\ndef f(a):\n    return a\n"
    define(text)(1)
    assert define(text.replace("a\n", "a + 1\n")).explain(1).differs == ("the source of the function",)
    assert define(text.replace("cacheable", "cacheable(version=2)")).explain(1).differs == ("version",)
    assert "the default of b" in define(text.replace("(a)", "(a, b=1)")).explain(1).differs


def test_invalidate_forgets_one_call():
    assert not add.invalidate(1)
    add(1)
    add(2)
    assert add.invalidate(1)
    assert not add.invalidate(1)
    add(1)
    add(2)
    assert calls == [(1, 5), (2, 5), (1, 5)]


def test_uncached_calls_the_function_itself():
    add(1)
    assert add.uncached(1) == (1, 5)
    assert add.__wrapped__ is add.uncached
    assert calls == [(1, 5)] * 2
    assert add.__name__ == "add"


def test_every_look_up_leaves_a_note(notes):
    add(1)
    add(1)
    assert [(each["what"], each["event"], each["key"]) for each in notes] == [
        ("cache", "miss", add.cache_key(1)),
        ("cache", "hit", add.cache_key(1)),
    ]
    assert all(each["bytes"] > 16 and each["duration_s"] >= 0 for each in notes)
    assert {each["function"] for each in notes} == {"test_cache_calls.add"}


def test_a_result_that_cannot_be_pickled_is_returned_with_a_warning():
    @cacheable
    def f():
        return lambda: 1

    with pytest.warns(CacheWarning, match="cannot be pickled"):
        assert f()() == 1


def test_coroutines_are_awaited_and_compute_once():
    @cacheable
    async def f(x):
        calls.append(x)
        await asyncio.sleep(0)
        if x < 0:
            raise ValueError
        return x

    async def main():
        assert await asyncio.gather(f(1), f(1), f(1), f(2)) == [1, 1, 1, 2]
        assert await f(1) == 1
        with pytest.raises(ValueError, match=r"^$"):
            await f(-1)

    asyncio.run(main())
    assert calls == [1, 2, -1]


def test_a_coroutine_may_ask_for_its_own_result():
    @cacheable
    async def f(x):
        calls.append(x)
        return await f(x) if len(calls) < 2 else x

    assert asyncio.run(f(1)) == 1


def test_without_a_store_functions_still_compute(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SCALABLE_CACHE_DIR", str(tmp_path / "file" / "cache"))

    @cacheable
    async def later(x):
        return x

    with pytest.warns(CacheWarning, match="there is no cache"):
        assert add(1) == (1, 5)
    with pytest.warns(CacheWarning, match="there is no cache"):
        assert asyncio.run(later(1)) == 1


def test_the_warning_points_at_the_call(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SCALABLE_CACHE_DIR", str(tmp_path / "file"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        add(1)
    assert caught[0].filename == __file__


def test_the_settings_of_the_session_come_before_the_environment(tmp_path):
    token = current.set(Context(Settings(cache_dir=str(tmp_path / "mine"))))
    try:
        add(1)
    finally:
        current.reset(token)
    assert (tmp_path / "mine" / "cache.db").exists()
    assert not add.explain(1).hit


def test_a_relative_directory_is_where_the_process_is(monkeypatch, tmp_path):
    monkeypatch.delenv("SCALABLE_CACHE_DIR")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        add(1)
        add(1)
        assert os.path.exists(".scalable/cache/cache.db")  # noqa: PTH110
    assert len(calls) == 2


def test_a_copied_attribute_does_not_make_a_function_cacheable():
    @functools.wraps(add)
    def wrapped(*args):
        return add(*args)

    assert isinstance(add.__cacheable__, Runner)
    assert add.cache_key(wrapped) != add.cache_key(add)
    assert cacheable(wrapped)(1) == (1, 5)
