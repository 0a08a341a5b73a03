import type { SearchPort, SearchRequest, SharedSearch } from '../engine/parallel.ts';
import { throwIfCancelled } from './cancel.ts';
import type { Lead } from './lead.ts';
import { CONTROL, MAX_PARTS, PART_BITS, PLANNER_HEARTBEAT_MS } from './protocol.ts';

/** Parts start at multiples of this: no two threads write to one cache line or one word of a bit set. */
const ROW_ALIGN = 64;
/** Positions done here first, to learn what one costs in this class; a request of twice as many is never handed over. */
const PROBE_ROWS = 128;
/** Parts per thread: a thread that starts late or runs slowly leaves its parts to the others. */
const PARTS_PER_THREAD = 4;
const ROUND_TRIPS = 5;
/** Search time per round trip from which a hand-over pays, and the bounds of the threshold. */
const PAYS_FROM = 25;
const MIN_HANDOVER_MS = 0.3;
const MAX_HANDOVER_MS = 20;

function alignRows(rows: number): number {
  return Math.ceil(rows / ROW_ALIGN) * ROW_ALIGN;
}

/**
 * Takes the next part of the current request; -1 when there is none left. Whoever has one may read the request's fields:
 * the planner changes them only after `done` has counted that part. So a thread that comes late, even for another
 * request than the one that woke it, does either valid work or none.
 */
export function claimPart(control: Int32Array): number {
  for (;;) {
    const claim = Atomics.load(control, CONTROL.claim);
    const part = claim & MAX_PARTS;
    if (part >= claim >>> PART_BITS) return -1;
    if (Atomics.compareExchange(control, CONTROL.claim, claim, claim + 1) === claim) return part;
  }
}

/** Marks one part as done. The last one wakes the planner; the count also publishes the columns that the part wrote. */
export function finishPart(control: Int32Array): void {
  const done = Atomics.add(control, CONTROL.done, 1) + 1;
  if (done === Atomics.load(control, CONTROL.claim) >>> PART_BITS) Atomics.notify(control, CONTROL.done);
}

export interface ParallelPort extends SearchPort {
  readonly handovers: number;
  readonly handoverMs: number;
}

/**
 * The planner's side of a shared search. Time decides only where a position is computed, never its result.
 * `handoverMs` and `isFixed` as in PlanTask.
 */
export function createParallelPort(control: Int32Array, searchers: number, handoverMs: number, isFixed: boolean, lead: Lead): ParallelPort {
  return new PlannerPort(control, searchers, handoverMs, isFixed, lead);
}

class PlannerPort implements ParallelPort {
  handovers = 0;
  handoverMs: number;
  readonly #control: Int32Array;
  readonly #searchers: number;
  readonly #isFixed: boolean;
  readonly #lead: Lead;
  /** Parts of the request that was published last. */
  #parts = 0;

  constructor(control: Int32Array, searchers: number, handoverMs: number, isFixed: boolean, lead: Lead) {
    this.#control = control;
    this.#lead = lead;
    this.#searchers = searchers;
    this.handoverMs = handoverMs;
    this.#isFixed = isFixed;
  }

  search(request: SearchRequest, inline: (from: number, to: number) => void): void {
    throwIfCancelled(this.#control);
    const rows = request.rows;
    if (this.#lead.isShared) {
      // Search workers are busy with victims.
      inline(0, rows);
      return;
    }
    if (this.#isFixed && this.handoverMs === 0 && this.#searchers > 0) {
      this.#handOver(request);
      return;
    }
    const probeRows = Math.max(PROBE_ROWS, alignRows(rows >> 5));
    if (this.#searchers === 0 || rows < 2 * probeRows) {
      inline(0, rows);
      return;
    }
    const startMs = performance.now();
    inline(0, probeRows);
    const restMs = ((performance.now() - startMs) / probeRows) * (rows - probeRows);
    if (this.#isWorthwhile(restMs)) this.#share(request, probeRows, restMs, inline);
    else inline(probeRows, rows);
  }

  isKnownToFail(): boolean {
    return false;
  }

  tell(isPlaced: boolean): void {
    this.#lead.tell(isPlaced);
  }

  find<T>(search: SharedSearch<T>): T | null {
    return this.#lead.find(search);
  }

  /** Nothing is handed over while every search worker is still starting. */
  #isWorthwhile(restMs: number): boolean {
    const idle = Atomics.load(this.#control, CONTROL.idle);
    if (Number.isNaN(this.handoverMs)) {
      if (restMs < MIN_HANDOVER_MS || idle < this.#searchers) return false;
      this.handoverMs = Math.min(Math.max(PAYS_FROM * this.#measureRoundTripMs(), MIN_HANDOVER_MS), MAX_HANDOVER_MS);
    }
    if (restMs >= this.handoverMs) return idle > 0;
    // Below the threshold nothing is learnt any more; sinking slowly, it is tried again some time after a busy spell.
    if (!this.#isFixed && restMs >= MIN_HANDOVER_MS) this.handoverMs = Math.max(this.handoverMs * 0.98, MIN_HANDOVER_MS);
    return false;
  }

  #share(request: SearchRequest, from: number, inlineMs: number, inline: (from: number, to: number) => void): void {
    const startMs = performance.now();
    const control = this.#control;
    const partRows = this.#publishRest(request, from);
    for (let part = claimPart(control); part >= 0; part = claimPart(control)) {
      const start = from + part * partRows;
      inline(start, Math.min(start + partRows, request.rows));
      finishPart(control);
    }
    this.#waitForParts();
    this.handovers++;
    if (!this.#isFixed) this.#adapt((performance.now() - startMs) / inlineMs);
  }

  /** Nothing is done here, so that what the search workers compute is what counts: for tests of the equality of both. */
  #handOver(request: SearchRequest): void {
    if (request.rows === 0) return;
    this.#publishRest(request, 0);
    this.#waitForParts();
    this.handovers++;
  }

  /** Publishes [from, rows) of a request; returns the positions per part. */
  #publishRest(request: SearchRequest, from: number): number {
    const control = this.#control;
    const rest = request.rows - from;
    const partRows = alignRows(rest / Math.min((this.#searchers + 1) * PARTS_PER_THREAD, MAX_PARTS));
    control[CONTROL.shapeRow] = request.shapeRow;
    control[CONTROL.signatureRow] = request.signatureRow;
    control[CONTROL.slot] = request.slot;
    control[CONTROL.rows] = request.rows;
    control[CONTROL.from] = from;
    this.#publish(partRows, Math.ceil(rest / partRows));
    return partRows;
  }

  /** Order matters: fields, then `claim`, then `epoch`. Whoever sees one sees everything before it. */
  #publish(partRows: number, parts: number): void {
    const control = this.#control;
    this.#parts = parts;
    control[CONTROL.partRows] = partRows;
    Atomics.store(control, CONTROL.done, 0);
    Atomics.store(control, CONTROL.claim, parts << PART_BITS);
    Atomics.add(control, CONTROL.epoch, 1);
    Atomics.notify(control, CONTROL.epoch);
  }

  #waitForParts(): void {
    const control = this.#control;
    const parts = this.#parts;
    for (let done = Atomics.load(control, CONTROL.done); done < parts; done = Atomics.load(control, CONTROL.done)) {
      throwIfCancelled(control);
      Atomics.wait(control, CONTROL.done, done, PLANNER_HEARTBEAT_MS);
    }
  }

  /** Median of a few empty requests, each answered by whichever search worker wakes first. */
  #measureRoundTripMs(): number {
    const times: number[] = [];
    for (let i = 0; i < ROUND_TRIPS; i++) {
      const startMs = performance.now();
      this.#publish(0, 1);
      this.#waitForParts();
      times.push(performance.now() - startMs);
    }
    return times.sort((a, b) => a - b)[ROUND_TRIPS >> 1]!;
  }

  /** `ratio`: time of the shared search by its estimate on one thread. No gain raises the threshold at once, a gain lowers it slowly. */
  #adapt(ratio: number): void {
    if (ratio > 0.95) this.handoverMs = Math.min(this.handoverMs * 1.5, MAX_HANDOVER_MS);
    else if (ratio < 0.75) this.handoverMs = Math.max(this.handoverMs * 0.9, MIN_HANDOVER_MS);
  }
}
