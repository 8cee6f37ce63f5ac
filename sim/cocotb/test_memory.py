"""Memories, alignment, AXI masters and registers against Python models (cocotb, Verilator)."""

import itertools

import cocotb
import pytest
from bench import begin, fields, join, parameter, run
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge

from bnn.contract import CORE_ID, INTERFACE_VERSION, WRITABLE, Registers

CONTROL_EARLY = 2  # cycles by which bnn_align has its control before the data
WRITE_LATENCY = 2  # of bnn_act_write
WRITES_AHEAD = 5  # commands that bnn_axi_write takes after it is no longer ready
RING_LATENCY = 3  # of a read of bnn_weight_ring
JOINED = 2  # cycles that a word of parts from several ports takes more
SEEN = 2  # cycles after available_o has shown a word in which it can be read
COUNT_EARLY = 2  # cycles by which pop_count_i is constant before pop_i


@cocotb.test()
async def act_mem(dut):
    simd, lanes, depth, group = (parameter(n) for n in ("Simd", "Lanes", "Depth", "GroupBits"))
    address_bits = (depth - 1).bit_length()
    rng = await begin(dut, read_i=0, write_lane_i=0, write_group_i=0, second_i=0)
    second = [None] * lanes  # what the write port has read, then what it shows
    shown = list(second)
    model = [[None] * depth for _ in range(lanes)]
    pending = []
    for step in range(3000):
        filling = step < depth
        at = [step if filling else rng.randrange(depth) for _ in range(lanes)]
        enable = (1 << lanes) - 1 if filling else rng.getrandbits(lanes)
        groups = [(1 << (simd // group)) - 1 if filling else rng.getrandbits(simd // group) for _ in range(lanes)]
        data = [rng.getrandbits(simd) for _ in range(lanes)]
        read = [rng.randrange(depth) for _ in range(lanes)]
        clash = [bool(enable >> n & 1) and read[n] == at[n] for n in range(lanes)]
        dut.read_i.value = int(not filling)
        dut.read_addr_i.value = join(read, address_bits)
        dut.write_lane_i.value = enable
        dut.write_group_i.value = join(groups, simd // group)
        dut.write_addr_i.value = join(at, address_bits)
        dut.write_data_i.value = join(data, simd)
        reads = 0 if filling else rng.getrandbits(lanes)
        dut.second_i.value = reads
        shown = list(second)
        for n in range(lanes):
            if reads >> n & 1 and not enable >> n & 1:
                second[n] = model[n][at[n]]
        pending.append(None if filling else [None if clash[n] else model[n][read[n]] for n in range(lanes)])
        for n in range(lanes):
            mask = sum(((1 << group) - 1) << (g * group) for g in range(simd // group) if groups[n] >> g & 1)
            if enable >> n & 1:
                old = model[n][at[n]] or 0
                model[n][at[n]] = (old & ~mask) | (data[n] & mask)
        await RisingEdge(dut.clk_i)
        await ReadOnly()
        for n, want in enumerate(shown):
            if want is not None and parameter("Second"):
                assert int(dut.second_o.value) >> (n * simd) & ((1 << simd) - 1) == want, f"step {step}"
        if len(pending) >= 2 and pending[-2] is not None:
            got = int(dut.data_o.value)
            for n, want in enumerate(pending[-2]):
                if want is not None:
                    assert (got >> (n * simd)) & ((1 << simd) - 1) == want, f"step {step}"
        await FallingEdge(dut.clk_i)


@cocotb.test()
async def align(dut):
    simd, lanes = parameter("Simd"), parameter("Lanes")
    rng = await begin(dut)
    for _ in range(6):
        mask = (1 << rng.randrange(1, simd + 1)) - 1
        dut.tail_mask_i.value = mask
        controls = []
        for step in range(80):
            controls.append((rng.randrange(-2, 5), rng.getrandbits(lanes), rng.getrandbits(1), rng.getrandbits(1)))
            shift = controls[-1][0]
            dut.shift_i.value = 1 << (shift if shift >= 0 else 4 - shift)
            dut.pad_i.value, dut.plus_i.value, dut.tail_i.value = controls[-1][1:]
            data = [rng.getrandbits(simd) for _ in range(lanes)]
            dut.data_i.value = join(data, simd)
            await FallingEdge(dut.clk_i)
            if step < CONTROL_EARLY:
                continue
            shift, pad, plus, tail = controls[step - CONTROL_EARLY]
            word = (mask if tail else (1 << simd) - 1) if plus else 0
            want = [word if pad >> n & 1 else data[(n + shift) % lanes] for n in range(lanes)]
            assert int(dut.data_o.value) == join(want, simd)


@cocotb.test()
async def act_write(dut):
    """Writes of the array first; a write of the first layer waits for a cycle without one."""
    simd, lanes, group, bits = (parameter(n) for n in ("Simd", "Lanes", "GroupBits", "AddrBits"))
    groups = simd // group
    rng = await begin(dut, array_next_i=0, array_lane_i=0, array_read_i=0, first_valid_i=0)
    expected = [None] * WRITE_LATENCY
    clashes = 0
    masks = [0] + [rng.getrandbits(lanes) if rng.random() < 0.5 else 0 for _ in range(1000)]
    for lane, following in itertools.pairwise(masks):
        first = rng.random() < 0.5
        array = {"lane": lane, "group": rng.getrandbits(groups), "addr": rng.getrandbits(bits)}
        other = {"lane": rng.getrandbits(lanes), "addr": rng.getrandbits(bits)}
        array_data, first_data = rng.getrandbits(lanes * simd), rng.getrandbits(2 * simd)
        for source, values in (("array", array), ("first", other)):
            for name, value in values.items():
                getattr(dut, f"{source}_{name}_i").value = value
        dut.array_next_i.value = int(following != 0)
        dut.array_data_i.value, dut.first_data_i.value, dut.first_valid_i.value = array_data, first_data, int(first)
        clashes += bool(lane) and first
        taken = other if not lane else array
        enable = taken["lane"] if lane or first else 0
        data = fields(array_data, simd, lanes) if lane else fields(first_data, simd, 2) * (lanes // 2)
        written = taken.get("group", (1 << groups) - 1)
        outputs = {"group": ([written] * lanes, groups), "addr": ([taken["addr"]] * lanes, bits), "data": (data, simd)}
        expected.append((enable, outputs))
        await ReadOnly()
        assert int(dut.first_wait_o.value) == (lane != 0)
        await FallingEdge(dut.clk_i)
        want = expected[-WRITE_LATENCY]
        if want is None:
            continue
        assert int(dut.write_lane_o.value) == want[0]
        for name, (values, width) in want[1].items():
            got = fields(int(getattr(dut, f"write_{name}_o").value), width, lanes)
            for n in range(lanes):
                assert not want[0] >> n & 1 or got[n] == values[n], f"{name} of lane {n}"
    assert clashes > 50


async def ring_clear(dut, rng, hold, words):
    """Clears the ring for `words` words, and again amid some of them, whose next ends in a cycle that drops beats."""
    ports = parameter("Ports")
    each = parameter("WordBits") // 64 // ports  # beats of a word through a port
    dut.hold_i.value, dut.words_i.value = int(hold), words
    for turn in range(5):
        dut.clear_i.value = 1
        for _ in range(2 if ports > 1 else 1):  # in the second these clear their parts
            await FallingEdge(dut.clk_i)
            dut.clear_i.value = 0
        if turn == 4:
            return
        dut.beat_valid_i.value = 0
        for _ in range(4):
            assert int(dut.available_o.value) == 0
            await FallingEdge(dut.clk_i)
        missing = rng.randrange(1, 3)
        left = [each * rng.randrange(1, words + 1) - missing for _ in range(ports)]
        while any(left):
            dut.beat_valid_i.value = join((n > 0 for n in left), 1)
            left = [max(n - 1, 0) for n in left]
            await FallingEdge(dut.clk_i)
        dut.beat_valid_i.value = (1 << ports) - 1


async def ring_run(dut, rng, words, hold, rounds):
    """Feeds `words`, reads and pops random groups.

    There are `rounds` passes over a held program, some cut short by a rewind, and some pops go back. Every port brings
    its part of the words at a pace of its own, which changes.
    """
    bits, depth, ports = parameter("WordBits"), parameter("Depth"), parameter("Ports")
    each = bits // 64 // ports  # beats of a word through a port
    late = JOINED if ports > 1 else 0
    beats = [[w >> (64 * (p * each + i)) & (2**64 - 1) for w in words for i in range(each)] for p in range(ports)]
    paces = [0.8] * ports
    dut.ring_i.value = dut.in_b_i.value = 0
    await ring_clear(dut, rng, hold, len(words) if hold else depth)
    base, popped, total, rewinds = 0, 0, len(words) * rounds, 0
    sent = [0] * ports
    there = [0] * (late + 1)  # words with all their parts: a beat goes into its word a cycle after it came
    apart = 0
    expected = [None] * RING_LATENCY
    loaded = [0] * (SEEN + 1)
    count, ready, rewound = 0, 0, False
    for step in range(200000):
        if popped >= total and not any(expected[-RING_LATENCY:]):
            break
        available = int(dut.available_o.value)
        loaded.append(there[-1 - late])
        there.append(min(sent) // each)
        apart = max(apart, max(sent) // each - min(sent) // each)
        assert available == (0 if rewound else loaded[-1] - base), f"step {step}"
        # its sender knows the room
        room = each * (len(words) if hold else min(len(words), base + depth))
        if ports > 1 and step % 100 == 0:
            paces = [rng.choice((0.02, 0.4, 1.0)) for _ in range(ports)] if step else [1.0, *[0.02] * (ports - 1)]
        offer = [sent[p] < room and rng.random() < paces[p] for p in range(ports)]
        dut.beat_valid_i.value = join(offer, 1)
        dut.beat_i.value = join((beats[p][sent[p]] if offer[p] else rng.getrandbits(64) for p in range(ports)), 64)
        readable = loaded[-1 - SEEN] - base
        read = readable > 0 and popped < total and rng.random() < 0.7
        index = rng.randrange(readable) if read else 0
        dut.read_i.value = int(read)
        dut.index_i.value = index
        expected.append(words[base + index] if read else None)
        if not count and base < len(words):
            count, ready = rng.randrange(1, min(len(words) - base, depth) + 1), step + COUNT_EARLY
            if hold and base and rng.random() < 0.2:
                count = -rng.randrange(1, base + 1)  # back
            dut.pop_count_i.value = count % (2 * depth)
        pop = count and count <= available and step >= ready and rng.random() < 0.3
        rewind = hold and base > 0 and not pop and step >= ready and rng.random() < 0.01
        dut.pop_i.value, dut.rewind_i.value = 3 * int(pop), int(rewind)
        rewound = rewind
        if pop:
            base, popped, count = base + count, popped + count, 0
            if hold and base == len(words):
                base, rewound = 0, True
        if rewind:
            base, count, rewinds = 0, 0, rewinds + 1
        await RisingEdge(dut.clk_i)
        await ReadOnly()
        sent = [n + int(now) for n, now in zip(sent, offer)]
        want = expected[-RING_LATENCY]
        if want is not None:
            assert int(dut.data_o.value) == want, f"step {step}"
        await FallingEdge(dut.clk_i)
    assert popped >= total and (ports == 1 or apart > 1)
    dut.pop_i.value = dut.rewind_i.value = 0
    return rewinds


async def kept_run(dut, rng, kept, streams, ring):
    """Goes once or more over the words that stay, then over each stream, through a ring of so many words.

    Reads and pops as `ring_run`, at most every fifth cycle; every port brings its part at a pace of its own.
    """
    bits, depth, ports = parameter("WordBits"), parameter("Depth"), parameter("Ports")
    each = bits // 64 // ports
    words = kept + [word for stream in streams for word in stream]
    beats = [[w >> (64 * (p * each + i)) & (2**64 - 1) for w in words for i in range(each)] for p in range(ports)]
    segments = [segment for stream in streams for segment in (*[kept] * rng.randint(1, 3), stream)]
    dut.clear_i.value, dut.hold_i.value, dut.in_b_i.value = 1, 0, 0
    dut.ring_i.value, dut.kept_i.value = depth - ring, len(kept)
    await FallingEdge(dut.clk_i)
    dut.clear_i.value = 0
    await FallingEdge(dut.clk_i)
    sent, paces = [0] * ports, [0.8] * ports
    at, count, settled, popped, stored = 0, 0, 0, 0, 0
    history = [0] * SEEN  # of available_o
    expected = [None] * RING_LATENCY
    while segments:
        segment = segments[0]
        available, there = int(dut.available_o.value), min(sent) // each
        if int(dut.all_o.value):
            assert segment is kept or settled <= 2
            available = 2 * depth - 1
        stored += int(dut.stored_o.value)
        if settled > 2 and segment is kept:
            assert available == 0 or (available == 2 * depth - 1 and there >= len(kept))
        elif settled > 2:
            assert available <= there - len(kept) - popped
        if rng.random() < 0.01:
            paces = [rng.choice((0.02, 0.4, 1.0)) for _ in range(ports)]
        room = each * min(len(words), len(kept) + popped + ring)
        offer = [sent[p] < room and rng.random() < paces[p] for p in range(ports)]
        dut.beat_valid_i.value = join(offer, 1)
        dut.beat_i.value = join((beats[p][sent[p]] if offer[p] else rng.getrandbits(64) for p in range(ports)), 64)
        count = count or rng.randint(1, min(len(segment) - at, ring))
        history.append(available)
        usable = history[-1 - SEEN] if settled > 4 else 0
        dut.pop_count_i.value = count
        read = usable >= count and rng.random() < 0.7
        index = rng.randrange(count) if read else 0
        dut.read_i.value, dut.index_i.value = int(read), index
        expected.append(segment[at + index] if read else None)
        pop = usable >= count and rng.random() < 0.3
        dut.pop_i.value, dut.rewind_i.value = 3 * int(pop), 0
        settled += 1
        if pop:
            at, settled = at + count, 0
            popped += 0 if segment is kept else count
            count = 0
        await RisingEdge(dut.clk_i)
        await ReadOnly()
        sent = [n + int(now) for n, now in zip(sent, offer)]
        want = expected[-RING_LATENCY]
        if want is not None:
            assert int(dut.data_o.value) == want
        await FallingEdge(dut.clk_i)
        if at == len(segment):
            at = 0
            del segments[0]
            dut.pop_i.value = dut.read_i.value = dut.beat_valid_i.value = 0
            for _ in range(RING_LATENCY):
                stored += int(dut.stored_o.value)
                await FallingEdge(dut.clk_i)
            if segments and segment is kept and segments[0] is kept:
                dut.rewind_i.value = 1
            dut.in_b_i.value = int(bool(segments) and segments[0] is not kept)
            stored += int(dut.stored_o.value)
            await FallingEdge(dut.clk_i)
            dut.rewind_i.value = 0
            expected += [None] * RING_LATENCY
    assert stored == len(kept) and popped == len(words) - len(kept)


@cocotb.test()
async def weight_ring(dut):
    bits, depth = parameter("WordBits"), parameter("Depth")
    ring = dict.fromkeys(("ring_i", "kept_i", "in_b_i"), 0)
    rng = await begin(dut, clear_i=0, hold_i=0, words_i=depth, beat_valid_i=0, pop_i=0, rewind_i=0, read_i=0, **ring)
    words = [rng.getrandbits(bits) for _ in range(5 * depth + 3)]
    await ring_run(dut, rng, words, False, 1)
    rewinds = await ring_run(dut, rng, words[: depth - 3], True, 20)
    rewinds += await ring_run(dut, rng, words[:depth], True, 20)
    assert rewinds
    for size in (depth // 2, depth // 4, depth // 8):
        kept = words[: depth - size - rng.randrange(2)]
        streams = [[rng.getrandbits(bits) for _ in range(rng.randint(1, 3 * depth))] for _ in range(4)]
        await kept_run(dut, rng, kept, streams, size)
    await ring_run(dut, rng, words, False, 1)


class ReadSlave:
    """A memory behind an AXI4 read port, whose beat at an address is that address; stalls at random.

    Checks that a burst has at most `max_burst` beats and stays in its 4 KiB, and that an address waits unchanged.
    """

    def __init__(self, dut, rng, max_burst):
        self.dut, self.rng, self.max_burst = dut, rng, max_burst
        self.bad = None  # beat of this address answers with an error
        self.queue, self.bursts, self.waiting, self.beat, self.response = [], [], None, None, 0
        self.offered = 0  # beats of all bursts whose address was on the port

    def drive(self):
        self.dut.arready_i.value = int(self.rng.random() < 0.5)
        self.beat = self.queue.pop(0) if self.queue and self.rng.random() < 0.8 else None
        self.dut.rvalid_i.value = int(self.beat is not None)
        address, last = self.beat or (0, 0)
        self.dut.rdata_i.value, self.dut.rlast_i.value = address, last
        self.response = self.rng.choice([2, 3]) if self.beat and address == self.bad else 0
        self.dut.rresp_i.value = self.response

    def sample(self):
        """Values before the clock edge."""
        if not int(self.dut.arvalid_o.value):
            assert self.waiting is None, f"address {self.waiting} withdrawn"
            return
        burst = start, length = int(self.dut.araddr_o.value), int(self.dut.arlen_o.value) + 1
        assert self.waiting in (None, burst), f"address {self.waiting} changed to {burst}"
        if self.waiting is None:
            assert start % 8 == 0 and length <= self.max_burst, burst
            assert start // 4096 == (start + 8 * length - 1) // 4096, burst
            self.offered += length
        self.waiting = burst
        if int(self.dut.arready_i.value):
            self.bursts.append(burst)
            self.queue += [(start + 8 * i, int(i == length - 1)) for i in range(length)]
            self.waiting = None

    def in_flight(self):
        """Bursts, the one whose address waits included."""
        return sum(last for _, last in self.queue) + (self.waiting is not None)


@cocotb.test()
async def axi_read(dut):
    max_burst, outstanding = parameter("MaxBurst"), parameter("MaxOutstanding")
    names = ("command_valid_i", "credit_set_i", "credit_give_i", "yield_i", "abort_i", "clear_error_i")
    idle = dict.fromkeys(names, 0)
    rng = await begin(dut, arready_i=0, rvalid_i=0, rresp_i=0, rlast_i=0, **idle)
    slave = ReadSlave(dut, rng, max_burst)
    credit = parameter("Credit")
    stripes, stripe = parameter("Stripes"), parameter("Stripe")

    def place(n):
        """Where beat n of a command lies behind its address."""
        return 8 * ((n // max_burst * stripes + stripe) * max_burst + n % max_burst)

    got, most, yielded, wanted = [], 0, False, False

    async def cycle():
        nonlocal most, yielded, wanted
        slave.drive()
        dut.yield_i.value = int(rng.random() < 0.3)
        before = slave.offered
        await ReadOnly()
        slave.sample()
        assert slave.offered == before or wanted and not yielded, "a burst unasked, or while others go first"
        yielded, wanted = bool(int(dut.yield_i.value)), bool(int(dut.want_o.value))
        most = max(most, slave.in_flight())
        if int(dut.valid_o.value):
            got.append(int(dut.data_o.value))
        taken = int(dut.command_valid_i.value) and int(dut.command_ready_o.value)
        await FallingEdge(dut.clk_i)
        return taken

    for n in range(40):
        addr = rng.randrange(1 << 40) & ~7
        if n % 3 == 0:
            addr = rng.randrange(1, 1 << 40) // 4096 * 4096 + 4096 - 8 * rng.randrange(1, 80)
        beats = rng.choice([1, 2, max_burst - 1, max_burst, max_burst + 1, rng.randrange(1, 300), 700])
        if stripes > 1:
            beats = max_burst * -(-beats // max_burst)
        wrong = rng.randrange(beats) if rng.random() < 0.3 else None
        slave.bad = None if wrong is None else addr + place(wrong)
        abort_at = rng.randrange(beats) if rng.random() < 0.3 else None
        granted = credit
        dut.credit_set_i.value = 1
        await cycle()
        dut.credit_set_i.value = 0
        got.clear()
        slave.bursts.clear()
        slave.offered = 0
        dut.addr_i.value, dut.beats_i.value, dut.command_valid_i.value = addr, beats, 1
        for _ in range(100):
            if await cycle():
                break
        else:
            raise AssertionError(f"command {n} not taken")
        dut.command_valid_i.value = 0
        for _ in range(40 * beats + 200):
            if len(got) == beats or (abort_at is not None and len(got) >= abort_at):
                break
            assert int(dut.busy_o.value) == 1, "idle before the last beat"
            give = rng.randrange(1, 4) if granted < beats and rng.random() < 0.5 else 0
            dut.credit_give_i.value = give
            await cycle()
            assert slave.offered <= granted, "a burst without credit"
            granted += give
            dut.credit_give_i.value = 0
        if abort_at is not None and len(got) < beats:
            hold = rng.random() < 0.5  # else a pulse
            dut.abort_i.value = 1
            await cycle()
            dut.abort_i.value = int(hold)
            await cycle()
            before = list(got)
            for _ in range(2000):
                await cycle()
                dut.abort_i.value = int(hold)
                if not int(dut.busy_o.value):
                    break
            dut.abort_i.value = 0
            assert got == before, "beats after abort"
            assert got == [addr + place(i) for i in range(len(got))]
        else:
            assert got == [addr + place(i) for i in range(beats)]
            assert slave.offered == beats
        assert not int(dut.busy_o.value) and not slave.queue and slave.waiting is None
        answered = sum(length for _, length in slave.bursts)
        assert int(dut.error_o.value) == (wrong is not None and wrong < answered)
        for _ in range(rng.randrange(4)):
            await cycle()
            assert not int(dut.valid_o.value) and not int(dut.arvalid_o.value) and not int(dut.want_o.value)
        dut.clear_error_i.value = 1
        await cycle()
        dut.clear_error_i.value = 0
        assert int(dut.error_o.value) == 0
    assert most == outstanding, f"{most} bursts in flight"


@cocotb.test()
async def read_arbiter(dut):
    masters, outstanding = parameter("Masters"), parameter("MaxOutstanding")
    rng = await begin(dut, ar_valid_i=0, arready_i=0, rvalid_i=0, rresp_i=0, rlast_i=0)
    slave = ReadSlave(dut, rng, 256)
    wait = [None] * masters  # burst on the port of each master
    order, asked, contended, most = [], [], 0, 0
    for step in range(6000):
        for m in range(masters):
            if wait[m] is None and step < 5000 and rng.random() < 0.2:
                length = rng.choice([1, 2, rng.randrange(1, 17)])
                # the number of the master is part of its addresses
                wait[m] = (((m * 1000 + rng.randrange(1000)) * 4096) + 8 * rng.randrange(256), length)
        dut.ar_valid_i.value = sum((burst is not None) << m for m, burst in enumerate(wait))
        dut.ar_addr_i.value = join([burst[0] if burst else 0 for burst in wait], 64)
        dut.ar_len_i.value = join([burst[1] - 1 if burst else 0 for burst in wait], 8)
        slave.bad = slave.queue[0][0] if slave.queue and rng.random() < 0.2 else None
        slave.drive()
        beat, response = slave.beat, slave.response
        await ReadOnly()
        slave.sample()
        assert int(dut.rready_o.value) == 1
        ready = int(dut.ar_ready_o.value)
        assert ready & ~int(dut.ar_valid_i.value) == 0
        asking = [m for m in range(masters) if wait[m]]
        if ready:
            # chosen in the cycle before
            contended += len(asked) > 1
            assert ready == 1 << asked[0], "priority"
            order.append((asked[0], wait[asked[0]]))
            wait[asked[0]] = None
        asked = asking
        most = max(most, len(order))
        await FallingEdge(dut.clk_i)
        if beat is None:
            assert int(dut.r_valid_o.value) == 0
            continue
        # one cycle later at the master whose burst is the oldest
        owner, (start, length) = order[0]
        assert int(dut.r_valid_o.value) == 1 << owner
        assert int(dut.r_data_o.value) == beat[0] and start <= beat[0] < start + 8 * length
        assert int(dut.r_resp_o.value) == response
        assert int(dut.r_last_o.value) == beat[1] == (beat[0] == start + 8 * length - 8)
        if beat[1]:
            order.pop(0)
    assert not order and not slave.queue and len(slave.bursts) > 100
    assert contended > 50 and outstanding <= most <= outstanding + 1


async def writes(dut, rng, often, answers, hold):
    """200 commands; the most in flight, and for how many cycles commands had to wait.

    The ports of addresses and of data are ready in shares `often` of the cycles, a response comes in a share `answers`;
    `hold` is how often commands are held.
    """
    want = [(rng.randrange(1 << 40) & ~7, rng.randrange(1, 4), rng.getrandbits(64)) for _ in range(200)]
    sent, addresses, data, answered, waited, most = 0, [], [], 0, 0, 0
    ready = [0] * WRITES_AHEAD
    held = False
    while answered < len(want):
        dut.awready_i.value, dut.wready_i.value = (int(rng.random() < share) for share in often)
        respond = min(len(addresses), len(data)) > answered and rng.random() < answers
        dut.bvalid_i.value = int(respond)
        answered += int(respond)
        command = sent < len(want) and ready[0] and (min(often) == 1 or rng.random() < 0.9)
        waited += sent < len(want) and not ready[0]
        dut.command_valid_i.value = int(command)
        if command:
            dut.addr_i.value, dut.half_i.value, dut.data_i.value = want[sent]
            sent += 1
        most = max(most, sent - answered)
        await ReadOnly()
        if int(dut.awvalid_o.value) and int(dut.awready_i.value):
            addresses.append(int(dut.awaddr_o.value))
        if int(dut.wvalid_o.value) and int(dut.wready_i.value):
            data.append((int(dut.wdata_o.value), int(dut.wstrb_o.value)))
        ready = [*ready[1:], int(dut.command_ready_o.value)]
        await FallingEdge(dut.clk_i)
        assert not (held and int(dut.command_ready_o.value)), "ready while held"
        held = rng.random() < (0.8 if held else hold)
        dut.hold_i.value = int(held)
        assert int(dut.busy_o.value) or answered == sent
    dut.bvalid_i.value = dut.hold_i.value = 0
    for _ in range(3):
        await FallingEdge(dut.clk_i)
    assert addresses == [address for address, _, _ in want]
    assert data == [(value, (half & 1) * 0x0F | (half >> 1) * 0xF0) for _, half, value in want]
    return most, waited


@cocotb.test()
async def axi_write(dut):
    names = ("command_valid_i", "clear_error_i", "awready_i", "wready_i", "bvalid_i", "bresp_i", "hold_i")
    rng = await begin(dut, **dict.fromkeys(names, 0))
    outstanding = parameter("MaxOutstanding")
    for often, answers, hold in (
        ((0.5, 0.5), 0.5, 0.1),
        ((1.0, 1.0), 0.6, 0),
        ((0.9, 0.9), 0.05, 0),
        ((0.1, 0.9), 1.0, 0),
        ((0.9, 0.1), 1.0, 0),
    ):
        most, waited = await writes(dut, rng, often, answers, hold)
        if answers < min(often) / 2 and outstanding < 100:
            assert outstanding <= most <= outstanding + WRITES_AHEAD + 2, f"{most} writes in flight"
        elif min(often) == 1 and outstanding > 100:
            assert waited <= WRITES_AHEAD + 1, "less than a write per cycle"
        elif min(often) < 0.9:
            assert waited > 20
    assert int(dut.busy_o.value) == 0 and int(dut.error_o.value) == 0
    dut.command_valid_i.value = dut.awready_i.value = dut.wready_i.value = 1
    await FallingEdge(dut.clk_i)
    dut.command_valid_i.value = 0
    for _ in range(3):
        await FallingEdge(dut.clk_i)
    dut.bvalid_i.value, dut.bresp_i.value = 1, 2
    await FallingEdge(dut.clk_i)
    dut.bvalid_i.value = dut.bresp_i.value = 0
    for clear, error in ((0, 1), (0, 1), (1, 0)):
        dut.clear_error_i.value = clear
        await FallingEdge(dut.clk_i)
        assert int(dut.error_o.value) == error


async def transfers(dut, rng, words):
    """Reads and writes of any word, of bytes of it, with every channel at its own pace; `words` are the registers'."""
    words = list(words)
    status = Registers.status.offset
    events = Registers.status_done.mask | Registers.status_ready.mask
    stays = dict.fromkeys(WRITABLE, 0xFFFFFFFF)  # bits of a register that stay as they were written
    stays[Registers.control.offset] = Registers.restart.mask
    stays[Registers.global_enable.offset] = Registers.interrupts.mask
    stays[Registers.enable.offset] = events
    offered = dict.fromkeys(("aw", "w", "ar"))  # what waits on a channel
    unanswered, read, writes, reads = 0, [], 0, 0
    for step in range(4000):
        for channel in offered:
            if offered[channel] is None and step < 3900 and rng.random() < 0.5:
                offered[channel] = 4 * rng.randrange(64)
                if channel == "w":
                    offered[channel] = rng.getrandbits(32) & ~Registers.start.mask, rng.randrange(16)
            getattr(dut, f"{channel}valid_i").value = int(offered[channel] is not None)
        dut.awaddr_i.value, dut.araddr_i.value = offered["aw"] or 0, offered["ar"] or 0
        dut.wdata_i.value, dut.wstrb_i.value = offered["w"] or (0, 0)
        pace = (0.1, 0.5, 1.0)[step // 100 % 3] if step < 3900 else 1.0
        ready = [rng.random() < pace for _ in "br"]
        dut.bready_i.value, dut.rready_i.value = map(int, ready)
        await ReadOnly()
        answered, given = int(dut.bvalid_o.value), int(dut.rvalid_o.value)
        assert answered <= unanswered and given <= len(read)
        if given:
            assert int(dut.rdata_o.value) == read[0], f"step {step}"
        taken = [name for name in offered if offered[name] is not None and int(getattr(dut, f"{name}ready_o").value)]
        assert ("aw" in taken) == ("w" in taken)
        if "aw" in taken:
            at, (data, strobe) = offered["aw"], offered["w"]
            mask = join((0xFF * (strobe >> i & 1) for i in range(4)), 8)
            if at == status:  # toggles
                words[at // 4] ^= data & mask & events
            else:
                mask &= stays.get(at, 0)
                words[at // 4] = (words[at // 4] & ~mask) | (data & mask)
            unanswered, writes = unanswered + 1, writes + 1
        if "ar" in taken:
            read.append(words[offered["ar"] // 4])
        if answered and ready[0]:
            unanswered -= 1
        if given and ready[1]:
            del read[0]
            reads += 1
        offered.update(dict.fromkeys(taken))
        await FallingEdge(dut.clk_i)
    assert writes > 300 and reads > 300 and not unanswered and not read


@cocotb.test()
async def control(dut):
    rng = await begin(
        dut,
        awvalid_i=0,
        wvalid_i=0,
        bready_i=1,
        arvalid_i=0,
        rready_i=1,
        done_i=0,
        cycles_i=123,
        busy_cycles_i=45,
        error_code_i=4,
    )

    async def write(offset, value):
        dut.awvalid_i.value = dut.wvalid_i.value = 1
        dut.awaddr_i.value, dut.wdata_i.value, dut.wstrb_i.value = offset, value, 15
        waited = 0  # one more cycle if the last one's response is taken in this one
        while not int(dut.awready_o.value):
            await FallingEdge(dut.clk_i)
            waited += 1
        assert 1 <= waited <= 2 and int(dut.wready_o.value) == 1
        await FallingEdge(dut.clk_i)
        assert int(dut.bvalid_o.value) == 1
        dut.awvalid_i.value = dut.wvalid_i.value = 0

    async def read(offset):
        while not int(dut.arready_o.value):
            await FallingEdge(dut.clk_i)
        dut.arvalid_i.value, dut.araddr_i.value = 1, offset
        await FallingEdge(dut.clk_i)
        dut.arvalid_i.value = 0
        assert int(dut.rvalid_o.value) == 0
        await FallingEdge(dut.clk_i)
        assert int(dut.rvalid_o.value) == 1
        return int(dut.rdata_o.value)

    async def done():
        dut.done_i.value = 1
        await FallingEdge(dut.clk_i)
        dut.done_i.value = 0

    # what it is before a run, with the parameters' defaults
    values = Registers(
        id=CORE_ID,
        version=INTERFACE_VERSION,
        pe=4,
        lanes=4,
        simd=64,
        weight_depth=1024,
        first_pe=4,
        act_depth=1024,
        image_pixels=1024,
        max_layers=16,
        cycles=123,
        busy=45,
        error=4,
        idle=True,
    )
    for offset in range(0, Registers.size_bytes(), 4):
        assert await read(offset) == values.words[offset // 4], hex(offset)
    arguments = (Registers.program, Registers.images, Registers.scores, Registers.count)
    for register in arguments:
        for n in range(register.bits // 32):
            await write(register.offset + 4 * n, 0x01234567 + register.offset + n)
            assert await read(register.offset + 4 * n) == 0x01234567 + register.offset + n
    at = Registers.images.offset
    assert int(dut.images_o.value) == (0x01234568 + at) << 32 | 0x01234567 + at
    control, status = Registers.control.offset, Registers.status.offset
    await write(Registers.global_enable.offset, Registers.interrupts.mask)
    await write(Registers.enable.offset, Registers.enable_done.mask)
    await write(control, Registers.start.mask)
    assert int(dut.start_o.value) == 1
    await FallingEdge(dut.clk_i)
    assert int(dut.start_o.value) == 0 and await read(control) == 0
    await done()
    assert int(dut.interrupt_o.value) == 1
    assert await read(status) == Registers.status_done.mask  # clears nothing
    assert await read(control) == Registers(done=True, idle=True, ready=True).control
    assert await read(control) == values.control
    await write(status, Registers.status_done.mask)
    assert int(dut.interrupt_o.value) == 0 and await read(status) == 0
    for _ in range(2):
        dut.rst_i.value = 1
        await FallingEdge(dut.clk_i)
        await FallingEdge(dut.clk_i)
        dut.rst_i.value = 0
        await transfers(dut, rng, values.words)


MEMORY = {"Simd": 32, "Lanes": 4, "Depth": 16, "GroupBits": 8}
WHOLE = {"Stripes": 1, "Stripe": 0}
CASES = [
    ("bnn_act_mem", {**MEMORY, "Second": 0}),
    ("bnn_act_mem", {**MEMORY, "Second": 1}),
    ("bnn_act_write", {"Simd": 32, "Lanes": 4, "GroupBits": 8, "AddrBits": 6}),
    ("bnn_align", {"Simd": 32, "Lanes": 2}),
    ("bnn_align", {"Simd": 32, "Lanes": 8}),
    ("bnn_weight_ring", {"WordBits": 128, "Depth": 16, "Ports": 1}),
    ("bnn_weight_ring", {"WordBits": 256, "Depth": 32, "Ports": 1}),
    ("bnn_weight_ring", {"WordBits": 256, "Depth": 16, "Ports": 2}),
    ("bnn_weight_ring", {"WordBits": 1024, "Depth": 32, "Ports": 2}),
    ("bnn_axi_read", {"MaxBurst": 64, "MaxOutstanding": 2, "Credit": 100, **WHOLE}),
    ("bnn_axi_read", {"MaxBurst": 16, "MaxOutstanding": 8, "Credit": 200, **WHOLE}),
    ("bnn_axi_read", {"MaxBurst": 32, "MaxOutstanding": 1, "Credit": 0, **WHOLE}),
    ("bnn_axi_read", {"MaxBurst": 16, "MaxOutstanding": 8, "Credit": 200, "Stripes": 2, "Stripe": 0}),
    ("bnn_axi_read", {"MaxBurst": 16, "MaxOutstanding": 8, "Credit": 200, "Stripes": 2, "Stripe": 1}),
    ("bnn_axi_read", {"MaxBurst": 8, "MaxOutstanding": 2, "Credit": 100, "Stripes": 4, "Stripe": 2}),
    ("bnn_read_arbiter", {"Masters": 3, "MaxOutstanding": 4}),
    ("bnn_axi_write", {"MaxOutstanding": 8}),
    ("bnn_axi_write", {"MaxOutstanding": 256}),
    ("bnn_control", {}),
]


@pytest.mark.parametrize("top,parameters", CASES)
def test_block(top, parameters, tmp_path):
    run(__file__, top, parameters, tmp_path)
