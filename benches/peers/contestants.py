"""Who is measured: what each needs in its home, and its command for each row.

Everybody gets a home of its own with the least that its documentation asks for to speak to one OpenAI-compatible model, and
otherwise its defaults. A row that a contestant does not have is left out of its table of commands.
"""

import json
import os
import pathlib
import subprocess
import textwrap

HERE = pathlib.Path(__file__).resolve().parent
VERSIONS = {"aichat": "0.30.0", "@openai/codex": "0.169.0", "opencode-ai": "1.18.33", "llm": "0.36"}

SAY_50 = "say 50 words"
SAY_MANY = "say 20000 words"
TOOL = "which phones are there"
PHONES = {
    "name": "search_phones",
    "description": "Lists phones",
    "parameters": {"type": "object", "required": ["query"], "properties": {"query": {"type": "string"}}},
}


class Contestant:
    """A program with a home of its own."""

    name = ""
    # A text of the screen that says that it waits for input.
    prompt = ""

    def __init__(self, program, root, model):
        self.program = str(program)
        self.home = root / self.name
        self.work = self.home / "work"
        self.work.mkdir(parents=True)
        self.base = f"http://127.0.0.1:{model}/v1"
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8", "TERM": "xterm-256color",
            "OPENAI_API_KEY": "sk-bench",
        }
        self.prepare()

    def write(self, path, text, mode=0o644):
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        file.chmod(mode)

    def prepare(self):
        """Writes what its home must hold."""

    def commands(self):
        """Row -> arguments."""
        return {}

    def version(self):
        done = subprocess.run([self.program, "--version"], env=self.environment, capture_output=True, text=True)
        return (done.stdout.split("\n")[0] or "?").strip()

    def size_mib(self):
        return os.path.getsize(os.path.realpath(self.program)) / 2**20

    def rows(self):
        return {row: [self.program, *words] for row, words in self.commands().items()}


def version_and_help(**rest):
    return {"--version": ["--version"], "--help": ["--help"], **rest}


class Agentctl(Contestant):
    """A run needs a login, so it is logged in at its own development tenant, once, before anything is measured. What it does
    then for every run its peers do not: it opens a sealed credential file, a journal and a lease."""

    name = "agentctl"
    prompt = "> "

    def __init__(self, program, root, model, tenant):
        self.tenant = tenant
        super().__init__(program, root, model)

    def prepare(self):
        key = self.home / "key"
        key.write_bytes(os.urandom(32))
        key.chmod(0o600)
        given = self.tenant.environment
        origin = self.base.removesuffix("/v1")
        self.write(".config/agentctl/config.toml", f"""\
            [profiles.default]
            issuer = "{given['AGENTCTL_ISSUER']}"
            provider = "auth0"
            store = "file"
            store_key_file = "{key}"
            [profiles.default.login]
            client_id = "{given['AGENTCTL_CLIENT_ID']}"
            [profiles.default.model]
            name = "bench"
            base_url = "{self.base}"
            max_tokens = 32000
            [profiles.default.tools]
            PHONES_URL = "{origin}/phones"
            """, 0o600)
        self.write(".config/agentctl/toolsets/phones.toml", """\
            [toolset]
            name = "phones"
            description = "A list of phones"
            [[tool]]
            name = "search_phones"
            description = "Lists phones"
            effect = "read"
            [tool.parameters]
            type = "object"
            required = ["query"]
            [tool.parameters.properties]
            query = { type = "string" }
            [tool.credential]
            source = "none"
            [tool.request]
            method = "GET"
            url = "{{ env.PHONES_URL }}"
            query = { query = "{{ query }}" }
            """)
        self.tenant.manage("/auto", {"logins": "approve", "approvals": "approve", "after_ms": 300})
        done = subprocess.run([self.program, "login", "--no-browser"], env=self.environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"agentctl login: {done.stderr}")

    def commands(self):
        return version_and_help(**{
            "whoami": ["whoami"],
            "50 tokens": ["run", SAY_50],
            "tool turn": ["run", TOOL],
            "20,000 tokens, pipe": ["run", SAY_MANY],
            "20,000 tokens, terminal": ["run", SAY_MANY],
            "prompt": ["chat"],
        })


class Aichat(Contestant):
    name = "aichat"
    prompt = "> "

    def prepare(self):
        self.write(".config/aichat/config.yaml", f"""\
            model: bench:bench
            function_calling: true
            clients:
            - type: openai-compatible
              name: bench
              api_base: {self.base}
              api_key: sk-bench
              models:
              - name: bench
                supports_function_calling: true
            """)
        self.write(".config/aichat/functions/functions.json", json.dumps([PHONES]))
        self.write(".config/aichat/functions/bin/search_phones", """\
            #!/bin/sh
            echo '{"items":["phone-7"]}' > "$LLM_OUTPUT"
            """, 0o755)
        self.write(".config/aichat/roles/shop.md", """\
            ---
            use_tools: search_phones
            ---
            """)

    def commands(self):
        return version_and_help(**{
            "50 tokens": [SAY_50],
            "tool turn": ["-r", "shop", TOOL],
            "20,000 tokens, pipe": [SAY_MANY],
            "20,000 tokens, terminal": [SAY_MANY],
            "prompt": [],
        })


class Codex(Contestant):
    """The native program, without the Node.js script in front of it that npm installs."""

    name = "codex"
    prompt = "›"

    def prepare(self):
        self.write(".codex/config.toml", f"""\
            model = "bench"
            model_provider = "bench"
            check_for_update_on_startup = false
            [analytics]
            enabled = false
            [model_providers.bench]
            name = "bench"
            base_url = "{self.base}"
            env_key = "OPENAI_API_KEY"
            wire_api = "responses"
            [projects."{self.work}"]
            trust_level = "trusted"
            """)

    def commands(self):
        run = ["exec", "--skip-git-repo-check"]
        return version_and_help(**{
            "50 tokens": [*run, SAY_50],
            "tool turn": [*run, "--dangerously-bypass-approvals-and-sandbox", TOOL],
            "20,000 tokens, pipe": [*run, SAY_MANY],
            "20,000 tokens, terminal": [*run, SAY_MANY],
            "prompt": [],
        })


class Opencode(Contestant):
    name = "opencode"
    prompt = "Ask anything"

    def prepare(self):
        model = {"name": "bench", "tool_call": True, "limit": {"context": 200000, "output": 32000}}
        provider = {"npm": "@ai-sdk/openai-compatible", "name": "bench", "models": {"bench": model},
                    "options": {"baseURL": self.base, "apiKey": "sk-bench"}}
        self.write(".config/opencode/opencode.json", json.dumps({
            "$schema": "https://opencode.ai/config.json", "provider": {"bench": provider}, "model": "bench/bench",
            "small_model": "bench/bench", "autoupdate": False, "share": "disabled",
        }))

    def commands(self):
        return version_and_help(**{
            "50 tokens": ["run", SAY_50],
            "tool turn": ["run", TOOL],
            "20,000 tokens, pipe": ["run", SAY_MANY],
            "20,000 tokens, terminal": ["run", SAY_MANY],
            "prompt": [],
        })


class Llm(Contestant):
    name = "llm"
    prompt = "> "

    def prepare(self):
        self.write(".config/io.datasette.llm/extra-openai-models.yaml", f"""\
            - model_id: bench
              model_name: bench
              api_base: "{self.base}"
              supports_tools: true
            """)
        self.write("phones.py", """\
            def search_phones(query: str) -> str:
                "Lists phones"
                return "phone-7"
            """)

    def commands(self):
        return version_and_help(**{
            "50 tokens": ["-m", "bench", SAY_50],
            "tool turn": ["-m", "bench", "--functions", str(self.home / "phones.py"), TOOL],
            "20,000 tokens, pipe": ["-m", "bench", SAY_MANY],
            "20,000 tokens, terminal": ["-m", "bench", SAY_MANY],
            "prompt": ["chat", "-m", "bench"],
        })


class Curl(Contestant):
    """The floor of what goes over the wire: the same requests, the answers as they come."""

    name = "curl"

    def rows(self):
        script = ["bash", str(HERE / "curl.sh"), self.base]
        return {
            "--version": [self.program, "--version"],
            "50 tokens": [*script, "say", SAY_50],
            "tool turn": [*script, "tool", TOOL],
            "20,000 tokens, pipe": [*script, "say", SAY_MANY],
            "20,000 tokens, terminal": [*script, "say", SAY_MANY],
        }


class Floor(Contestant):
    """The floor of a process that does nothing, and of a shell that shows a prompt."""

    name = "true"
    prompt = "ready$ "

    def prepare(self):
        self.environment["PS1"] = self.prompt

    def rows(self):
        return {"--version": [self.program], "--help": [self.program], "whoami": [self.program],
                "prompt": ["bash", "--norc", "--noprofile", "-i"]}

    def version(self):
        return "coreutils; at the prompt: bash --norc"
