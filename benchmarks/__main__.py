"""``python -m benchmarks``: run the suite, then write the table of README.md beside this file and the chart."""

import sys

from benchmarks import report, run


def main(arguments: list[str] | None = None) -> int:
    options = run.parser().parse_args(arguments)
    if options.list:
        return run.execute(options)
    code = run.execute(options)
    # Written even after a failure: the table names every result that it refuses to show.
    report.write(options.results)
    return code


if __name__ == "__main__":
    sys.exit(main())
