# make help lists the targets; most are a short form of a command of bnn, bnn --help lists those.
# Every path is relative to this folder and every argument quoted, as the folder's own name may hold anything.
NET     ?= cnv
DATASET ?=
DESIGN  ?= pynq_z1
RECIPE  ?= modern
EPOCHS  ?=
FIRST_LAYER ?= array
DATA    ?=
TRAIN   ?=
STUDY   ?=
COMPILE ?= --compile
OUT     ?= build/$(NET)
MODEL   ?= models/$(NET).npz
PYTHON  ?= python3

VENV := .venv
PY   := $(VENV)/bin/python
BNN  := $(PY) -m bnn
READY := $(VENV)/.ready

training := --recipe $(RECIPE) $(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(DATA),--data "$(DATA)") \
	$(if $(DATASET),--dataset $(DATASET)) $(TRAIN)
# those that an export leaves beside its model
IMAGES  ?= $(shell test -f "$(basename $(MODEL)).images.npz" && echo "$(basename $(MODEL)).images.npz")
images  = $(if $(IMAGES),--images "$(IMAGES)")

.PHONY: help env doctor docs wheels clean distclean missing
.PHONY: data train export zoo-check page notebook ablation float ingredients accuracy
.PHONY: explore report hls hls-check deploy
.PHONY: demo demo-mnist demo-cifar-wired reuse sim soak board board-demo bench bench-cluster bench-cpu bench-gpu
.PHONY: test test-arm fuzz damaged lint lint-rtl generated generated-check
.DELETE_ON_ERROR:

help:
	@echo "make demo                    the shipped CNV on 16 CIFAR-10 images: golden model against the HLS and the RTL core"
	@echo "make test                    environment, then all tests"
	@echo "make test-arm                bnn and host on an emulated ARMv7, 32 bits, with 512 MB: needs Debian's qemu-user-static"
	@echo "make damaged COUNT=10000     damaged programs: HLS, RTL and functional core must end runs of them with the same code"
	@echo "make fuzz SECONDS=60         feed every reader of files what its code has not seen yet; findings in build/fuzz"
	@echo "make env                     the environment alone; PYTHON=program: of this Python"
	@echo "make doctor                  what is missing here, and how to mend it"
	@echo "make train  NET=cnv RECIPE=modern  train, or go on with, a network into OUT=build/NET; EPOCHS=, DATA=folder"
	@echo "make export NET=cnv          fold it into OUT/model.npz, checked against PyTorch"
	@echo "make zoo-check [ZOO=cnv]     evaluate the shipped models and compare with their cards"
	@echo "make page MODEL=...          a page about a model, in build/page"
	@echo "make ablation, make float    what each part of modern is worth; what binarization costs (NET=, EPOCHS=, LIMIT=, JOBS=, STUDY=--bf16)"
	@echo "make ingredients             what clip, a teacher, more epochs and augmentation are worth over whole runs, for hours"
	@echo "make notebook                your own network in twenty minutes, in Jupyter; NOTEBOOK=host/notebooks/cifar10.ipynb: on a board"
	@echo "make accuracy MODEL=...      the integer model over the whole test set of DATASET"
	@echo "make data DATASET=cifar10    fetch and check a data set"
	@echo "make explore NET=cnv          size a design for a network or model, write design.toml; BOARD=pynq_z1 EXPLORE=\"--target 9000\""
	@echo "make report DESIGN=pynq_z1   synthesise the RTL core with yosys: LUT, FF, BRAM, DSP, paths, fan-out, memories"
	@echo "make bench DESIGN=pynq_z1    whole networks through the Verilated core, in cycles: build/bench.json; BENCH=\"--only CNV:16\""
	@echo "make bench-cpu               the CPU engine against PyTorch and larq's, one core: build/bench_cpu.json"
	@echo "make bench-cluster           images/s of 1, 2, ... workers on this machine's cores: build/bench_cluster.json"
	@echo "make bench-gpu               packed bits on an NVIDIA GPU against cuBLAS: build/bench_gpu.json"
	@echo "make hls  DESIGN=pynq_z1_hls render sources and scripts, pack the program; synthesise where the tools are;"
	@echo "                             DESIGN=my.toml: a design, or a board too, of a file (docs/adding_a_board.md)"
	@echo "                             BACKEND=rtl: the RTL core, pynq_z1_binary; HLS_VERSION=2019.2, COSIM=1, STRATEGIES=1: slower"
	@echo "                             clocks after one; DATE_PATCHED=1: the HLS tool exports although answer record 76960"
	@echo "                             FIRST_LAYER=wired: MODEL's first layer as constants (also in demo, report)"
	@echo "make hls-check               hold the HLS C++ against what Vitis HLS documents: II of every pipelined loop, pragmas"
	@echo "make sim                     engines and programs, bit by bit, RTL units under cocotb;"
	@echo "                             BACKEND=hls or rtl: one core, RTL=path: Verilog that Vitis HLS generated"
	@echo "make soak                    500 random networks through golden model, HLS and RTL core; COUNT=20: a part, and goes on"
	@echo "make board                   serve a simulated PYNQ-Z1 to pynq; LISTEN=127.0.0.1 CORE=rtl or functional"
	@echo "make board-demo              such a board, and host/pynq_infer.py on 64 images against it"
	@echo "make deploy BOARD=address    copy to a board what it needs and say what to run there; MODEL=, IMAGES=file"
	@echo "make reuse NET=cnv           repeated kernels, and engines at every level of sharing, into build/reuse"
	@echo "make demo-mnist              a MNIST network with its weights wired in, on real test images, bit by bit"
	@echo "make demo-cifar-wired        the same with a CIFAR-10 network; Verilator takes minutes to build it"
	@echo "make lint                    ruff, mypy, Verilator's and Verible's opinion of the SystemVerilog, files that are made"
	@echo "make generated               write the files that are made from bnn/contract.py, and the README's picture"
	@echo "make docs                    the documentation as a site, into build/site"
	@echo "make wheels                  the toolkit's wheel and the one for boards, bnn with the host as bnn.host, into build/wheels"
	@echo "make clean                   remove from build/ what a command makes again; never checkpoints, data, models, bitstreams"
	@echo "make distclean               remove build/ and the environment, after a question (YES=1: without)"

env: $(READY)

$(READY): pyproject.toml $(if $(wildcard $(PY)),,missing)
	@"$(PYTHON)" -m bnn.environment $(VENV)
	$(PY) -m pip install --quiet -e '.[sim,board,onnx,brevitas,gpu,cluster,dev]'
	$(PY) -m pip install --quiet --no-deps hls4ml==1.3.0  # its ap_int headers
	@touch $@

# without the environment, which may be what is ill
doctor:
	@if test -x $(PY); then $(BNN) doctor; else "$(PYTHON)" -m bnn doctor; fi

demo: $(READY)
	$(BNN) sim "$(MODEL)" --design "$(DESIGN)" --first-layer $(FIRST_LAYER) $(images)

demo-mnist: $(READY)
	$(BNN) wired models/mnist_wired.npz --images models/mnist_sample.npz -o build/mnist_wired_rtl

demo-cifar-wired: $(READY)
	$(BNN) wired models/cifar_wired.npz --images models/cifar10_sample.npz -o build/cifar_wired_rtl

reuse: $(READY)
	$(BNN) reuse "$(MODEL)" -o build/reuse

data: $(READY)
	$(BNN) data $(or $(DATASET),cifar10)

train: $(READY)
	$(BNN) train $(NET) $(training) -o "$(OUT)" $(COMPILE)

export: $(READY)
	$(BNN) export "$(OUT)/checkpoint.pt" -o "$(OUT)/model.npz"

zoo-check: $(READY)
	$(BNN) zoo check $(ZOO)

page: $(READY)
	$(BNN) page "$(MODEL)" -o "build/page/$$(basename "$(MODEL)" .npz).html"

# Jupyter is for this alone, so it is installed here
NOTEBOOK ?= notebooks/own_network.ipynb
notebook: $(READY)
	$(PY) -m pip install --quiet -e '.[notebook]'
	$(PY) -m notebook "$(NOTEBOOK)"

ablation float ingredients: $(READY)
	$(BNN) study $@ $(NET) $(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(LIMIT),--limit $(LIMIT)) $(if $(JOBS),--jobs $(JOBS)) $(STUDY) $(COMPILE) --write train/README.md

accuracy: $(READY)
	$(BNN) accuracy "$(MODEL)" $(if $(DATASET),--dataset $(DATASET))

# a design's folder, and the bitstream that hls leaves there (hls.implementation.bitfile) and deploy takes
# without DESIGN these take one that fits the core
hls_design := $(if $(filter file,$(origin DESIGN)),$(if $(filter rtl,$(BACKEND)),pynq_z1_binary,pynq_z1_hls),$(DESIGN))
design = $(basename $(notdir $(DESIGN)))
hls hls-check deploy: DESIGN := $(hls_design)
built = build/$(design)
bitfile = $(built)/bitstream/$(design).bit

explore: $(READY)
	$(BNN) explore $(NET) $(if $(BOARD),--board $(BOARD)) $(EXPLORE)

report: $(READY)
	$(BNN) report --design "$(DESIGN)" -o $(built) --first-layer $(FIRST_LAYER) --model "$(MODEL)"

bench: $(READY)
	$(BNN) bench --design "$(DESIGN)" -o build/bench.json $(BENCH)

soak: $(READY)
	$(BNN) soak $(if $(COUNT),--networks $(COUNT)) $(SOAK)

bench-cluster: $(READY)
	$(BNN) bench-cluster "$(MODEL)" -o build/bench_cluster.json $(BENCH)

bench-cpu: $(READY)
	$(BNN) bench-cpu -o build/bench_cpu.json $(BENCH)

bench-gpu: $(READY)
	$(BNN) bench-gpu -o build/bench_gpu.json

hls: $(READY)
	$(BNN) hls --design "$(DESIGN)" -o $(built) $(if $(BACKEND),--backend $(BACKEND)) --model "$(MODEL)" \
		--first-layer $(FIRST_LAYER) $(images) $(if $(HLS_VERSION),--hls-version $(HLS_VERSION)) \
		$(if $(COSIM),--cosim) $(if $(DATE_PATCHED),--date-patched) $(if $(STRATEGIES),--strategies $(STRATEGIES))
	$(BNN) overlay --design "$(DESIGN)" -o $(built)/overlay
	$(BNN) plan "$(MODEL)" --design "$(DESIGN)" -o $(built)

hls-check: $(READY)
	$(BNN) check --design "$(DESIGN)"

# everything; one core alone; or Verilog that Vitis HLS has generated, in a folder
sim_hls := tests/test_hls_core.py tests/test_cores.py sim/cocotb/test_devices.py -k "not rtl and not folder"
sim_rtl := sim/cocotb tests/test_cores.py tests/test_rtl_sim.py -k "not hls"
sim_tests = $(if $(RTL),sim/cocotb/test_devices.py -k test_folder,$(or $(sim_$(BACKEND)),sim/cocotb tests/test_cores.py tests/test_rtl_sim.py \
	tests/test_hls_core.py tests/test_program.py))

sim: $(READY)
	BNN_RTL="$(RTL)" $(PY) -m pytest $(sim_tests)

board: $(READY)
	$(BNN) board --design "$(DESIGN)" --host $(or $(LISTEN),127.0.0.1) --core $(or $(CORE),rtl)

board-demo: $(READY)
	$(BNN) board-demo "$(MODEL)" --design "$(DESIGN)" --core $(or $(CORE),rtl) $(images)

deploy: $(READY)
	@test -n "$(BOARD)" || { echo "error: give BOARD=address, as xilinx@192.168.2.99" >&2; exit 1; }
	$(BNN) plan "$(MODEL)" --design "$(DESIGN)" -o $(built)
	$(BNN) deploy "$(BOARD)" --bit $(bitfile) --program $(built)/program.bin --model "$(MODEL)" $(images)

# two processes, each a file's tests in order: their fixtures build a core once; long files first, as tests/conftest.py
# sorts them; a thread each for numpy and torch, which wait for one another where two processes share the cores; numba
# compiles da4ml, a run of which takes a second, with less effort
test: $(READY)
	OMP_NUM_THREADS=1 NUMBA_OPT=1 $(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# on an emulated ARMv7: Debian's packages, unpacked into build/arm
test-arm:
	"$(PYTHON)" tests/arm/run.py -o build/arm

# programs of flipped words through every core, or CORES="hls rtl functional"; goes on where it was; make test has some hundred
damaged: $(READY)
	$(PY) tests/run_damaged.py --programs $(or $(COUNT),10000) $(CORES)

# atheris is for this alone, so it is installed here; FUZZ="--inputs 100000 model onnx": some formats, so many inputs
fuzz: $(READY)
	$(PY) -m pip install --quiet -e '.[fuzz]'
	$(PY) tests/fuzz/run.py --seconds $(or $(SECONDS),60) $(FUZZ)

lint: $(READY) lint-rtl generated-check
	$(PY) -m ruff check .
	$(PY) -m ruff format --check --quiet .
	$(PY) -m mypy

lint-rtl: $(READY)
	$(BNN) lint-rtl

# what is checked in and made from other files: the contract's, the RTL's hierarchy, and the README's picture
generated: $(READY)
	$(BNN) contract
	$(BNN) hierarchy
	$(BNN) picture docs/dataflow.txt

generated-check: $(READY)
	$(BNN) contract --check
	$(BNN) hierarchy --check
	$(BNN) picture docs/dataflow.txt --check

docs: $(READY)
	$(PY) -m mkdocs build --strict --quiet
	@echo "build/site/index.html"

# the toolkit's, and the one for boards; BITS="a.bit b.bit": bitstreams that go along
wheels: $(READY)
	$(PY) -m pip wheel --quiet --no-deps --no-build-isolation -w build/wheels .
	$(PY) board/wheel.py -o build/wheels $(foreach bit,$(BITS),--bit $(bit))

clean:
	@"$(PYTHON)" -m bnn.clean build

distclean:
	@"$(PYTHON)" -m bnn.clean --all $(if $(YES),--yes) build $(VENV)
