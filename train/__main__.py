"""``python -m train``: train a network, or go on with an interrupted run."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from train import data
from train.networks import NETWORKS
from train.trainer import Config, TrainError, train, world


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m train", description=__doc__)
    parser.add_argument("network", choices=list(NETWORKS))
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for checkpoint and log")
    parser.add_argument("--dataset", choices=list(data.SOURCES), help="default: the network's")
    parser.add_argument("--data-folder", type=Path, help="local folder with the official files")
    parser.add_argument("--cache", type=Path, default=data.DEFAULT_FOLDER, help="checked copies of data sets")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--schedule", choices=("cosine", "exponential"), default="cosine")
    parser.add_argument("--loss", choices=("cross_entropy", "squared_hinge"), default="cross_entropy")
    parser.add_argument("--no-augment", action="store_true", help="no random crop and flip")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=int, help="use only the first so many training images")
    parser.add_argument("--compile", action="store_true", help="torch.compile the step (faster, needs g++)")
    arguments = parser.parse_args(argv)
    if "WORLD_SIZE" in os.environ:  # started by torchrun
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    network = NETWORKS[arguments.network]
    try:
        dataset = data.load(arguments.dataset or network.dataset, arguments.data_folder, arguments.cache)
        training, validation = data.split_validation(dataset)
        if arguments.limit:
            training = {key: value[: arguments.limit] for key, value in training.items()}
        config = Config(
            network=network.name,
            epochs=arguments.epochs,
            batch=arguments.batch,
            learning_rate=arguments.lr,
            schedule=arguments.schedule,
            loss=arguments.loss,
            augment=not arguments.no_augment and network.channels == 3,
            seed=arguments.seed,
        )
        train(config, training, validation, arguments.out, compile_step=arguments.compile)
    except (TrainError, data.DataError) as error:
        if world()[0] == 0:
            print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
