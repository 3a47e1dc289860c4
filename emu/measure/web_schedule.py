"""HTTP requests at a fixed schedule: the script that has wrk keep one, and how what it prints is read. Pure.

The schedule is absolute: request k is due k / N s after its beginning, whatever became of those before. Kept
connections take turns at it, each in a thread of wrk of its own, which may sleep until its next request is due: wrk
asks ``request`` for one when the last is answered (``socket_writeable`` in wrk.c). A connection that waits for an
answer sends late all that has become due since, one after the other, and each counts from when it was due. That is
what wrk2 does, which Debian does not package (Tene, "How NOT to Measure Latency", 2013).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from emu.measure.metrics import Reading, spread_evenly
from emu.measure.parsers import VALUES_PER_TRIAL, BadOutput, wrk_totals

SCHEDULE_LEAD_S = 0.05
"""From the first line of the script to the beginning of the schedule; threads and connections take some milliseconds.
"""
SCHEDULE_WARMUP_S = 0.15
"""The first part of a schedule, which does not count."""
SCHEDULE_REST_S = 0.25
"""How long answers are waited for after the last request that counts; requests go on meanwhile."""

LEAST_KEPT = 0.5
"""Share of the requests that must have been sent before their connection's next one was due. Where fewer were, the
latencies would say how long the trial was."""

SCHEDULE_SCRIPT = f"""\
-- wrk -tC -cC -s THIS URL -- N C S: N requests a second at a fixed schedule for S s, in turns over C connections.
local ffi = require("ffi")
ffi.cdef[[
typedef struct {{ long s, ns; }} moment;
int clock_gettime(int clock, moment *now);
int clock_nanosleep(int clock, int flags, const moment *due, moment *left);
int prctl(int option, unsigned long value, ...);
int getpid(void);
int kill(int process, int signal);
]]
local MONOTONIC, ABSOLUTE, INTERRUPTED, SET_TIMER_SLACK, INTERRUPT = 1, 1, 4, 29, 2
local moment, threads = ffi.new("moment"), {{}}

local function now_us()
  ffi.C.clock_gettime(MONOTONIC, moment)
  return tonumber(moment.s) * 1e6 + tonumber(moment.ns) / 1e3
end

local function sleep_until(at_us)
  moment.s, moment.ns = math.floor(at_us / 1e6), math.floor(at_us % 1e6 * 1e3)
  repeat until ffi.C.clock_nanosleep(MONOTONIC, ABSOLUTE, moment, nil) ~= INTERRUPTED
end

function setup(thread)  -- once for each thread, where done() runs too
  begin_us = begin_us or now_us() + {SCHEDULE_LEAD_S * 1e6:.0f}
  thread:set("first", #threads)
  thread:set("begin_us", begin_us)
  table.insert(threads, thread)
end

function init(arguments)
  period_us, connections = 1e6 / tonumber(arguments[1]), tonumber(arguments[2])
  end_us = begin_us + tonumber(arguments[3]) * 1e6
  next_one, log, message = first, {{}}, wrk.format()
  ffi.C.prctl(SET_TIMER_SLACK, 1)  -- in ns; threads inherit it. A request would be some 50 us late otherwise.
end

-- A thread's first request is not held back and does not count: it opens the connection. Of the first thread, wrk asks
-- for one that it never sends.
function request()
  sending, next_one = next_one, next_one + connections
  if sending ~= first then
    due_us = begin_us + sending * period_us
    sleep_until(due_us)
    sent_us = now_us()
    if sent_us >= end_us then ffi.C.kill(ffi.C.getpid(), INTERRUPT) end
  end
  return message
end

function response()
  if sending ~= first then
    log[#log + 1] = string.format("emu answer %d %.1f %.1f\\n", sending, sent_us - due_us, now_us() - due_us)
  end
end

function done(summary)
  for _, thread in ipairs(threads) do io.write(table.concat(thread:get("log"))) end
  local e = summary.errors
  io.write(string.format("emu requests %d duration_us %d connect %d read %d write %d status %d timeout %d\\n",
    summary.requests, summary.duration, e.connect, e.read, e.write, e.status, e.timeout))
end
"""

_ANSWER = re.compile(r"^emu answer (\d+) (-?\d+\.\d) (-?\d+\.\d)$", re.MULTILINE)


def web_schedule_parser(per_second: int, connections: int,
                        duration_s: float) -> Callable[[str, str, int], list[Reading]]:
    """A parser of wrk with ``SCHEDULE_SCRIPT`` run for ``duration_s`` beside warm-up and rest: ``latency`` from when a
    request was due until its answer was read (resolution 0.1 us), and as ``loss`` the share that had no answer
    ``SCHEDULE_REST_S`` after the last was due. ``BadOutput`` if wrk counted an error or the schedule was not kept."""

    def parse(stdout: str, stderr: str, returncode: int) -> list[Reading]:
        wrk_totals(stdout, stderr, returncode)
        first, due = round(SCHEDULE_WARMUP_S * per_second), round(duration_s * per_second)
        answers = [(float(late), float(latency)) for number, late, latency in _ANSWER.findall(stdout)
                   if first <= int(number) < first + due]
        kept = sum(late_us < connections * 1e6 / per_second for late_us, _ in answers)
        if kept < LEAST_KEPT * due or not answers:
            raise BadOutput(f"the schedule was not kept: of {due} requests at {per_second} a second"
                            f" {due - len(answers)} were not answered and {len(answers) - kept} were sent when their"
                            " connection's next one was due")
        latencies = spread_evenly([(latency_us, 1) for _, latency_us in answers], VALUES_PER_TRIAL)
        return [Reading("loss", 1 - len(answers) / due), *(Reading("latency", value) for value in latencies)]

    return parse
