"""One command in a sandbox: what it sees of the host, and that nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import invar.sandbox
from invar.core.errors import InvarError
from invar.sandbox.launch import long_running_argv, run, setup_failed
from invar.sandbox.spec import HOST_NAME, Bind, Command, Completed, Directory

HOST = Directory(Path("/"))


def shell(script: str, **options: object) -> Completed:
    """Run a shell script in a sandbox whose root is the host's, read-only."""
    return run(Command(("sh", "-ec", script)), HOST, **options)  # type: ignore[arg-type]


def processes_with(word: str) -> list[str]:
    """The command lines on this machine that hold a word."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if word.encode() in line:
                found.append(line.decode(errors="replace"))
    return found


def test_the_host_name_is_fixed() -> None:
    assert shell("cat /proc/sys/kernel/hostname").output.decode().strip() == HOST_NAME


def test_there_is_no_network_but_loopback() -> None:
    interfaces = shell("tail -n +3 /proc/net/dev | cut -d: -f1").output.split()
    assert interfaces == [b"lo"]


def test_network_is_shared_on_request() -> None:
    inside = shell("readlink /proc/self/ns/net", network=True).output.decode().strip()
    assert inside == str(Path("/proc/self/ns/net").readlink())


def test_the_environment_is_minimal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVAR_SECRET", "x")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    names = {line.split(b"=")[0] for line in shell("env").output.splitlines()}
    assert names <= {b"PATH", b"HOME", b"LANG", b"LC_ALL", b"PWD", b"_", b"SHLVL", b"OLDPWD"}


def test_processes_of_the_host_are_not_seen() -> None:
    assert shell("ls -d /proc/[0-9]* | wc -l").output.strip() <= b"6"


def test_the_root_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "usr").mkdir()
    with pytest.raises(InvarError, match="failed with exit status"):
        shell("touch /usr/invar-was-here")
    assert not Path("/usr/invar-was-here").exists()


def test_tmp_run_and_dev_are_fresh() -> None:
    listed = shell("ls -A /tmp /run; ls /dev; head -c 2 /dev/zero | wc -c; echo x > /dev/null").output.decode()
    assert "urandom" in listed
    assert "sda" not in listed
    assert "mem" not in listed.split()


def test_binds_are_read_only_unless_said(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in/file").write_text("hello")
    binds = [Bind(tmp_path / "in", "/given"), Bind(tmp_path / "out", "/made", read_only=False)]
    shell("cp /given/file /made/copy; ! touch /given/other 2>/dev/null", binds=binds)
    assert (tmp_path / "out/copy").read_text() == "hello"
    assert not (tmp_path / "in/other").exists()


def test_a_failure_carries_the_last_lines() -> None:
    with pytest.raises(InvarError) as caught:
        shell("echo the reason; exit 7")
    assert "exit status 7" in caught.value.what
    assert "the reason" in (caught.value.why or "")


def test_a_failure_can_be_asked_for() -> None:
    assert shell("exit 7", check=False).status == 7


def test_a_signal_is_named() -> None:
    with pytest.raises(InvarError, match="killed by SIGSEGV"):
        shell("kill -SEGV $$")


def test_a_missing_program_is_an_error() -> None:
    with pytest.raises(InvarError) as caught:
        run(Command(("no-such-program",)), HOST)
    assert "No such file" in (caught.value.why or "")


def test_a_missing_root_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvarError, match="could not be made") as caught:
        run(Command(("true",)), Directory(tmp_path / "absent"))
    assert str(tmp_path / "absent") in str(caught.value)


def test_time_out_kills_everything_inside() -> None:
    word = f"987654.{os.getpid()}"
    with pytest.raises(InvarError, match="did not end within"):
        run(Command(("sh", "-c", f"sleep {word} & sleep {word}"), timeout=0.5), HOST)
    assert processes_with(word) == []


def test_orphans_end_with_the_command() -> None:
    word = f"876543.{os.getpid()}"
    assert shell(f"sleep {word} >/dev/null 2>&1 & echo started").output == b"started\n"
    assert processes_with(word) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupting_the_caller_kills_everything_inside(tmp_path: Path, number: signal.Signals) -> None:
    word = f"765432.{os.getpid()}"
    code = textwrap.dedent(f"""
        from pathlib import Path
        from invar.sandbox.launch import run
        from invar.sandbox.spec import Bind, Command, Directory
        import sys
        fifo = Bind(Path(sys.argv[1]), "/fifo", read_only=False)
        script = "exec >/fifo; echo up; sleep {word} & sleep {word}"
        run(Command(("sh", "-c", script)), Directory(Path("/")), binds=[fifo])
    """)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen([sys.executable, "-c", code, str(fifo)], stderr=subprocess.DEVNULL) as caller:
        with fifo.open("rb") as held_by_all_inside:
            assert held_by_all_inside.readline() == b"up\n"
            caller.send_signal(number)
            assert held_by_all_inside.read() == b"", "it ends when the last process inside is gone"
        assert caller.wait(30) != 0
    assert processes_with(word) == []


def test_a_long_running_program_gets_signals_and_its_status_comes_out() -> None:
    argv = long_running_argv(Command(("sh", "-c", "trap 'echo bye; exit 9' TERM; echo up; sleep 60 & wait")), HOST)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.terminate()
        assert process.stdout.read() == b"bye\n"
        assert process.wait(30) == 9


def test_a_full_page_of_arguments_is_no_limit(tmp_path: Path) -> None:
    assert run(Command(("sh", "-c", "echo $#", "sh", *["word"] * 5000)), HOST).output == b"5000\n"


def test_set_up_failures_say_what_to_do() -> None:
    error = setup_failed(b"22 the sandbox could not be made: mount overlay on /x: Invalid argument\n")
    assert error.why == "mount overlay on /x: Invalid argument"
    assert "INVAR_HOME" in (error.hint or "")


def test_an_ordinary_user_is_root_inside(as_ordinary_user: Callable[[str], str]) -> None:
    said = as_ordinary_user(
        textwrap.dedent("""
        from pathlib import Path
        from invar.sandbox.launch import run
        from invar.sandbox.spec import Bind, Command, Directory
        script = "id -u; touch /here/file; chown 65534:42 /here/file; stat -c %u:%g /here/file"
        place = Path.cwd() / "place"
        place.mkdir()
        bind = Bind(place, "/here", read_only=False)
        print(run(Command(("sh", "-ec", script)), Directory(Path("/")), binds=[bind]).output.decode())
        from invar.sandbox.removal import remove_tree
        remove_tree(place)
        print(place.exists())
        """)
    )
    assert said.split() == ["0", "65534:42", "False"]


def test_what_starting_a_program_imports_is_loaded_before_the_standard_library_is_out_of_sight() -> None:
    look = (
        "import sys; sys.path.insert(0, sys.argv[1]); import invar.sandbox.inside, os; "
        "sys.path.clear(); before = set(sys.modules); os.get_exec_path({'PATH': '/bin'}); "
        "assert 'warnings' in before and set(sys.modules) == before"
    )
    source = Path(invar.sandbox.__file__).parents[2]
    done = subprocess.run([sys.executable, "-I", "-S", "-c", look, str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
