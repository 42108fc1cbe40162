"""The benchmarks, by the name under which the command line knows them."""

from benchmarks.questions import (
    admission,
    blocking,
    decode,
    engines,
    fan_out,
    fleet,
    growth,
    importing,
    official,
    overhead,
    queue,
    shared,
    throttle,
)

QUESTIONS = {
    question.name: question
    for question in (
        throttle.QUESTION,
        shared.QUESTION,
        admission.QUESTION,
        queue.QUESTION,
        overhead.QUESTION,
        blocking.QUESTION,
        decode.QUESTION,
        fan_out.QUESTION,
        official.QUESTION,
        importing.QUESTION,
        growth.QUESTION,
        fleet.QUESTION,
        engines.QUESTION,
    )
}
