#!/usr/bin/env python3
"""Finds out which functions an agent runs, and prints the linker script that puts them next to each other.

Every function of PROGRAM (built for release, not stripped) gets a breakpoint that is taken away when it is reached,
while an agent with 100 services starts, is asked, has a service changed, crashed, stopped and started, and idles; once
without a tray, once with one on a bus of its own (dbus-run-session and dbus-send are needed), whose menu is asked for.
Linux on x86-64 only; what it prints is good everywhere.

    CARGO_PROFILE_RELEASE_STRIP=none cargo build --release
    layout/warm.py target/release/pilotlight > warm.ld && mv warm.ld layout/warm.ld
"""

import bisect
import ctypes
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

# Modules of ours that may be taken as a whole: where most of one was run, what changes there is most likely run as well,
# and need not be listed.
OWN = {
    "agent": "domain engine app process state sources watch api observe power wire logs".split(),
    "tray": "tray notify".split(),
}

# Which part of a module (of its bytes) makes it one of which most was run.
MOST = 0.6

SERVICES = 100

# What names that begin alike may contain beside what was run, for a shorter list: bytes, or a part of what was run.
SLACK_BYTES, SLACK_PART = 100, 0.03

# How many characters names have in common at least that are listed by their beginning.
SHORTEST = 12


def main():
    program = os.path.abspath(sys.argv[1])
    symbols = functions(program)
    addresses = sorted({address for address, _, _ in symbols})
    text, named = "", []
    for section, own in OWN.items():
        print(f"{section} ...", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            hits = trace(program, addresses, folder, section == "tray")
        left = [symbol for symbol in symbols if not any(pattern.match(symbol[2]) for pattern in named)]
        patterns = select(left, hits, own)
        named.append(re.compile("(?:" + "|".join(re.escape(it).replace(r"\*", ".*") for it in patterns) + ")$"))
        # What is thought to be seldom called is in `.text.unlikely.NAME`, all else in `.text.NAME`.
        dotted = (pattern if pattern.startswith("*") else f"*.{pattern}" for pattern in patterns)
        lines = "".join(f"    *(.text{pattern})\n" for pattern in dotted)
        text += f"  .text.{section} :\n  {{\n{lines}  }}\n"
    print("/* What an idle agent runs, next to each other. Made by layout/warm.py: do not edit. */")
    print(f"SECTIONS\n{{\n{text}}}\nINSERT BEFORE .text;")


def functions(program):
    """Address, size and name of each function."""
    lines = subprocess.run(["nm", "-S", program], check=True, capture_output=True, text=True).stdout.splitlines()
    rows = [line.split() for line in lines]
    found = [(int(row[0], 16), int(row[1], 16), row[3]) for row in rows if len(row) == 4 and row[2] in "tT"]
    if not found:
        sys.exit(f"{program} has no symbols: build it with CARGO_PROFILE_RELEASE_STRIP=none")
    return found


def trace(program, addresses, folder, with_tray):
    """The addresses of the functions that a working agent has run."""
    os.mkdir(f"{folder}/runtime", 0o700)
    os.mkdir(f"{folder}/services.d")
    with open(f"{folder}/services.json", "w") as file:
        file.write("{}")
    for index in range(SERVICES):
        drop_in(folder, f"s{index}", "0")
    environment = {**os.environ, "XDG_RUNTIME_DIR": f"{folder}/runtime"}
    for key in ("PILOTLIGHT_CONFIG", "PILOTLIGHT_PROFILE", "PILOTLIGHT_STATE_DIR", "DBUS_SESSION_BUS_ADDRESS"):
        environment.pop(key, None)
    bus = None
    if with_tray:
        keeper = ["dbus-run-session", "--", "sh", "-c", "echo $DBUS_SESSION_BUS_ADDRESS; read line"]
        bus = subprocess.Popen(keeper, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        environment["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().strip()
    base = [program, "--config", f"{folder}/services.json", "--state-dir", f"{folder}/state"]
    tracer = os.fork()
    if tracer == 0:
        hits = follow([*base, "run", "--tray" if with_tray else "--headless", "--quiet"], environment, addresses)
        with open(f"{folder}/hits", "w") as file:
            json.dump(sorted(hits), file)
        os._exit(0)

    def tell(*arguments):
        return subprocess.run([*base, *arguments], env=environment, capture_output=True, text=True)

    def wait_until(holds):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            answer = tell("status", "--json")
            if answer.returncode == 0:
                status = json.loads(answer.stdout)
                services = {service["id"]: service for service in status["services"]}
                if len(services) == SERVICES and holds(services):
                    return status["agent"]["pid"], services
            time.sleep(0.1)
        sys.exit("waited too long for the agent")

    def all_healthy(services):
        return all(service["health"] == "healthy" for service in services.values())

    agent, services = wait_until(all_healthy)
    before = services["s1"]["pid"], services["s2"]["pid"]
    drop_in(folder, "s1", "1")
    os.kill(before[1], signal.SIGKILL)
    wait_until(lambda now: all_healthy(now) and now["s1"]["pid"] != before[0] and now["s2"]["pid"] != before[1])
    tell("stop", "s3")
    tell("start", "s3")
    wait_until(all_healthy)
    if with_tray:
        item = ["dbus-send", "--session", "--print-reply", f"--dest=org.kde.StatusNotifierItem-{agent}-1"]
        for question in (
            ["/StatusNotifierItem", "org.freedesktop.DBus.Properties.GetAll", "string:org.kde.StatusNotifierItem"],
            ["/MenuBar", "com.canonical.dbusmenu.AboutToShow", "int32:0"],
            ["/MenuBar", "com.canonical.dbusmenu.GetLayout", "int32:0", "int32:-1", "array:string:"],
        ):
            subprocess.run(item + question, env=environment, check=True, stdout=subprocess.DEVNULL)
    time.sleep(5)
    # What it takes to end is nothing that an idle agent has run.
    os.kill(agent, signal.SIGUSR2)
    os.waitpid(tracer, 0)
    if bus:
        bus.communicate("\n")
    with open(f"{folder}/hits") as file:
        return set(json.load(file))


def drop_in(folder, name, round_):
    definition = {
        "type": "process",
        "command": ["sleep", "100000"],
        "auto_start": True,
        "env": {"ROUND": round_},
        "restart": {"policy": "always"},
    }
    with open(f"{folder}/{name}", "w") as file:
        json.dump(definition, file)
    os.rename(f"{folder}/{name}", f"{folder}/services.d/{name}.json")


def follow(command, environment, addresses):
    """Runs `command` until it gets SIGUSR2, then ends it as SIGTERM does; gives the addresses that it has reached."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    traceme, cont, getregs, setregs, detach, setoptions = 0, 7, 12, 13, 17, 0x4200
    fork, vfork, clone, on_exec = 1 << 1, 1 << 2, 1 << 3, 1 << 4
    wait_all, exec_stop, rip = 0x40000000, 4, 16

    child = os.fork()
    if child == 0:
        libc.ptrace(traceme, 0, None, None)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        os.execve(command[0], command, environment)
    os.waitpid(child, 0)
    libc.ptrace(setoptions, child, None, fork | vfork | clone | on_exec)
    with open(f"/proc/{child}/maps") as maps:
        start = int(maps.readline().split("-")[0], 16)
    own = os.open(f"/proc/{child}/mem", os.O_RDWR)
    originals = [os.pread(own, 1, start + address) for address in addresses]
    for address in addresses:
        os.pwrite(own, b"\xcc", start + address)
    hits, tracees, ending = set(), {child}, False
    libc.ptrace(cont, child, None, None)
    while True:
        pid, status = os.waitpid(-1, wait_all)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            if pid == child:
                return hits
            continue
        number, event = os.WSTOPSIG(status), status >> 16
        if event == exec_stop and pid != child:
            libc.ptrace(detach, pid, None, None)
            continue
        if event == 0 and number == signal.SIGTRAP:
            registers = (ctypes.c_ulong * 27)()
            libc.ptrace(getregs, pid, None, registers)
            at = registers[rip] - 1 - start
            index = bisect.bisect_left(addresses, at)
            if index < len(addresses) and addresses[index] == at:
                # A child that has not yet become another program has memory of its own.
                memory = os.open(f"/proc/{pid}/mem", os.O_RDWR)
                for target in (memory, own):
                    os.pwrite(target, originals[index], start + at)
                os.close(memory)
                if not ending:
                    hits.add(at)
                registers[rip] -= 1
                libc.ptrace(setregs, pid, None, registers)
                libc.ptrace(cont, pid, None, None)
                continue
        if number == signal.SIGUSR2:
            ending, number = True, signal.SIGTERM
        # The first stop of a new thread or process is not a signal for it.
        passed = None if event or (number == signal.SIGSTOP and pid not in tracees) else number
        tracees.add(pid)
        libc.ptrace(cont, pid, None, passed)


def select(symbols, hits, modules):
    """The patterns of names for what was run, and for what is taken as a whole of our own modules."""
    own = [f"*{pattern}*" for pattern in own_modules(symbols, hits, modules)]
    taken = re.compile("|".join(re.escape(pattern.strip("*")) for pattern in own) or "(?!)")
    named, seen = [], set()
    for address, size, name in symbols:
        if not taken.search(name):
            # Equal functions share an address.
            named.append((open_name(name), 0 if address in seen else size, address in hits))
            seen.add(address)
    return own + list(dict.fromkeys(beginnings(sorted(named))))


def own_modules(symbols, hits, modules):
    """What the names have in common of those of our modules of which most was run, each as far up as that is true."""
    sizes = {}
    for address, size, name in symbols:
        if not (found := re.search("10pilotlight", name)):
            continue
        pattern, rest = found[0], name[found.end() :]
        while (number := re.match(r"\d+", rest)) and rest[number.end() : number.end() + 1].islower():
            end = number.end() + int(number[0])
            pattern, rest = pattern + rest[:end], rest[end:]
            run, whole = sizes.get(pattern, (0, 0))
            sizes[pattern] = run + size * (address in hits), whole + size
    wanted = [f"10pilotlight{len(name)}{name}" for name in modules]
    found = []
    for pattern, (run, whole) in sorted(sizes.items()):
        is_wanted = any(pattern.startswith(it) for it in wanted)
        if is_wanted and run >= MOST * whole and not any(pattern.startswith(it) for it in found):
            found.append(pattern)
    return found


def open_name(name):
    """The name, with a star for each part that differs with the compiler, the folder or the order of the code."""
    name = re.sub(r"(\.llvm)?\.\d+$", "*", name)
    if name.startswith("_R"):
        # Crates by their hashes, references to earlier parts of the name, and the numbers of `impl` blocks.
        name = re.sub(r"Cs[0-9A-Za-z]+_", "Cs*_", name)
        return re.sub(r"(?<=[MX])s[0-9A-Za-z]*_|B[0-9A-Za-z]*_", "*", name)
    return re.sub(r"17h[0-9a-f]{16}", "17h*", name)


def beginnings(named):
    """The shortest beginnings of names that hold what was run and little else. `named` is sorted."""
    needed = sum(size for _, size, was_run in named if was_run)
    if not needed:
        return
    extra = sum(size for _, size, _ in named) - needed
    common = os.path.commonprefix([named[0][0], named[-1][0]])
    if len(named) == 1 or common == named[-1][0]:
        yield common
    elif len(common) >= SHORTEST and extra <= max(SLACK_BYTES, SLACK_PART * needed):
        yield f"{common}*"
    else:
        for _, alike in itertools.groupby(named, key=lambda it: it[0][len(common) : len(common) + 1]):
            yield from beginnings(list(alike))


if __name__ == "__main__":
    main()
