"""Trains a GPT-2-shaped model in PyTorch on the processor and prints one JSON line of what it measured.

The same shapes, precision, optimiser and clipping as `manyhands train`: float32, AdamW with decoupled decay, the head
tied to the token embedding, gelu in its tanh form. With --processes 2, DistributedDataParallel over gloo, each process
with its share of the batch and of the threads. Times are of whole steps, from drawing the batch to the new weights.
"""

import argparse
import json
import os
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in dict(
        layers=4, heads=4, channels=128, context=64, vocab=65, sequences=12, steps=20, warmup=5, threads=2, processes=1
    ).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dropout", type=float, default=0.0)
    return parser.parse_args()


class Block(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.heads, self.dropout = o.heads, o.dropout
        self.ln_1, self.ln_2 = nn.LayerNorm(o.channels), nn.LayerNorm(o.channels)
        self.c_attn, self.c_proj = nn.Linear(o.channels, 3 * o.channels), nn.Linear(o.channels, o.channels)
        self.c_fc, self.c_out = nn.Linear(o.channels, 4 * o.channels), nn.Linear(4 * o.channels, o.channels)
        # Not a buffer: gloo cannot send booleans, and every process has its own.
        self.past = torch.ones(o.context, o.context, dtype=torch.bool).tril()

    def attention(self, x):
        batch, time_, channels = x.shape
        q, k, v = (
            part.view(batch, time_, self.heads, channels // self.heads).transpose(1, 2)
            for part in self.c_attn(x).split(channels, dim=2)
        )
        if hasattr(F, "scaled_dot_product_attention"):
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=self.dropout)
        else:
            scores = q @ k.transpose(-2, -1) * (channels // self.heads) ** -0.5
            scores = scores.masked_fill(~self.past[:time_, :time_], float("-inf"))
            y = F.dropout(scores.softmax(dim=-1), self.dropout) @ v
        return F.dropout(self.c_proj(y.transpose(1, 2).reshape(batch, time_, channels)), self.dropout)

    def forward(self, x):
        x = x + self.attention(self.ln_1(x))
        return x + F.dropout(self.c_out(F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh")), self.dropout)


class GPT(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(o.vocab, o.channels), nn.Embedding(o.context, o.channels)
        self.blocks, self.ln_f = nn.ModuleList(Block(o) for _ in range(o.layers)), nn.LayerNorm(o.channels)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids, targets):
        x = self.wte(ids) + self.wpe.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = self.ln_f(x) @ self.wte.weight.t()
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1))


def train(rank, o):
    torch.set_num_threads(max(1, o.threads // o.processes))
    torch.manual_seed(rank)
    model = GPT(o)
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    parameters = sum(p.numel() for p in model.parameters())
    if o.processes > 1:
        torch.distributed.init_process_group("gloo", rank=rank, world_size=o.processes)
        model = nn.parallel.DistributedDataParallel(model, broadcast_buffers=False, gradient_as_bucket_view=True)
    groups = [dict(params=matrices, weight_decay=0.1), dict(params=vectors, weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99))
    share = o.sequences // o.processes
    text = torch.randint(0, o.vocab, (1_000_000,))
    seconds = []
    for step in range(o.warmup + o.steps):
        began = time.perf_counter()
        starts = torch.randint(len(text) - o.context, (share,)).tolist()
        ids = torch.stack([text[s : s + o.context] for s in starts])
        targets = torch.stack([text[s + 1 : s + o.context + 1] for s in starts])
        loss = model(ids, targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step >= o.warmup:
            seconds.append(time.perf_counter() - began)
    if rank == 0:
        tokens = share * o.processes * o.context
        found = dict(peer=f"PyTorch {torch.__version__}", parameters=parameters, processes=o.processes)
        print(json.dumps(dict(found, tokensPerSecond=[tokens / s for s in seconds], loss=loss.item())))


if __name__ == "__main__":
    chosen = options()
    if chosen.sequences % chosen.processes:
        raise SystemExit(f"--sequences {chosen.sequences} must be a multiple of --processes {chosen.processes}")
    if chosen.processes == 1:
        train(0, chosen)
    else:
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", "29517")
        torch.multiprocessing.spawn(train, args=(chosen,), nprocs=chosen.processes)
