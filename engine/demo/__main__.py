"""`python -m engine.demo`."""

from engine.demo.cli import app

if __name__ == "__main__":
    app(prog_name="python -m engine.demo")
