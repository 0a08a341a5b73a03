// Entry point of every thread of the pool. A worker imports nothing but this, the engine module named by its task, and base.
import { RingWriter } from '../base/byteRing.ts';
import { BatchEncoder } from '../base/decisionCodec.ts';
import { KaiError } from '../base/errors.ts';
import { JobFaultError } from '../base/jobFault.ts';
import type { SearchContext } from '../engine/cycle.ts';
import { CycleCancelled, throwIfCancelled } from './cancel.ts';
import { CycleOver, FollowerPort } from './follow.ts';
import { Lead } from './lead.ts';
import {
  CONTROL,
  createTimedSink,
  type EngineModule,
  type PlanResult,
  type PlanTask,
  SEARCHER_HEARTBEAT_MS,
  type SearchResult,
  type SearchTask,
  type TaskFailure,
} from './protocol.ts';
import { claimPart, createParallelPort, finishPart } from './searchPort.ts';

/** One import per thread: asking the module loader again costs tens of microseconds per cycle. */
const engines = new Map<string, Promise<EngineModule>>();

function loadEngine(url: string): Promise<EngineModule> {
  let engine = engines.get(url);
  if (engine === undefined) {
    engine = import(url) as Promise<EngineModule>;
    engines.set(url, engine);
  }
  return engine;
}

/** Runs one cycle and streams its decisions into the ring. Never rejects by itself: failures are data. */
export async function plan(task: PlanTask): Promise<PlanResult> {
  const control = new Int32Array(task.control);
  try {
    const engine = await loadEngine(task.engineUrl);
    return runPlan(engine, task, control);
  } catch (error) {
    return failureOf(error);
  } finally {
    stopSearch(control);
  }
}

function runPlan(engine: EngineModule, task: PlanTask, control: Int32Array): PlanResult {
  const encoder = new BatchEncoder(task.config.actions);
  const ring = new RingWriter(task.ring, () => throwIfCancelled(control));
  let batches = 0;
  const { sink, phaseMs } = createTimedSink((batch) => {
    throwIfCancelled(control);
    ring.write(encoder.encode(batch));
    batches++;
  });
  const lead = new Lead(control, {
    followers: task.searchers,
    memory: task.board,
    isSearchBound: task.isSearchBound,
    reluctance: task.reluctance,
    leavesAllTrials: task.isHandoverFixed && task.handoverMs === 0,
  });
  const port = createParallelPort(control, task.searchers, task.handoverMs, task.isHandoverFixed, lead);
  const view = engine.viewSnapshot(task.snapshot);
  const report = engine.runCycle(view, task.config, task.nowMs, task.state, sink, port, task.faults);
  const { handovers, handoverMs } = port;
  const { sharedSearches, isSearchBound, reluctance } = lead;
  return { ok: true, report: { ...report, phaseMs }, batches, handovers, handoverMs, sharedSearches, isSearchBound, reluctance };
}

/** Serves the search requests of one cycle, or follows it, until the planner or main sets `stop`. */
export async function searchLoop(task: SearchTask): Promise<SearchResult> {
  const control = new Int32Array(task.control);
  try {
    const engine = await loadEngine(task.engineUrl);
    serve(engine, task, control);
    return { ok: true };
  } catch (error) {
    Atomics.store(control, CONTROL.cancel, 1); // main will, too, but the planner need not wait for it
    Atomics.notify(control, CONTROL.done);
    return failureOf(error);
  }
}

function serve(engine: EngineModule, task: SearchTask, control: Int32Array): void {
  let context: SearchContext | undefined;
  let seen = 0;
  for (;;) {
    Atomics.add(control, CONTROL.idle, 1);
    while (Atomics.load(control, CONTROL.epoch) === seen) Atomics.wait(control, CONTROL.epoch, seen, SEARCHER_HEARTBEAT_MS);
    Atomics.sub(control, CONTROL.idle, 1);
    seen = Atomics.load(control, CONTROL.epoch);
    if (Atomics.load(control, CONTROL.stop) === 1) return;
    // Opened before a part is claimed: meanwhile the planner goes on with the parts itself. Only a hint here, see `claimPart`.
    if (control[CONTROL.partRows] !== 0) context ??= openContext(engine, task);
    for (let part = claimPart(control); part >= 0; part = claimPart(control)) {
      const partRows = control[CONTROL.partRows]!;
      if (partRows !== 0) {
        context ??= openContext(engine, task);
        runPart(context, control, part, partRows);
      }
      finishPart(control);
    }
    if (Atomics.load(control, CONTROL.follow) === 1) {
      follow(engine, task, control);
      return;
    }
  }
}

/** State of the cycles that this thread follows, kept from one to the next. */
let ownState = new SharedArrayBuffer(0);

function follow(engine: EngineModule, task: SearchTask, control: Int32Array): void {
  const bytes = task.state.byteLength;
  if (ownState.byteLength < bytes || ownState.byteLength > 4 * bytes) ownState = new SharedArrayBuffer(bytes);
  const port = new FollowerPort(control, task.board, task.index);
  try {
    engine.followCycle(engine.viewSnapshot(task.snapshot), task.config, task.nowMs, ownState, port);
  } catch (error) {
    if (!(error instanceof CycleOver)) throw error;
  }
}

function openContext(engine: EngineModule, task: SearchTask): SearchContext {
  return engine.openSearch(engine.viewSnapshot(task.snapshot), task.config, task.state);
}

function runPart(context: SearchContext, control: Int32Array, part: number, partRows: number): void {
  const request = {
    shapeRow: control[CONTROL.shapeRow]!,
    signatureRow: control[CONTROL.signatureRow]!,
    slot: control[CONTROL.slot]!,
    rows: control[CONTROL.rows]!,
  };
  const start = control[CONTROL.from]! + part * partRows;
  context.run(request, start, Math.min(start + partRows, request.rows));
}

function stopSearch(control: Int32Array): void {
  Atomics.store(control, CONTROL.stop, 1);
  for (const bell of [CONTROL.epoch, CONTROL.followerBell]) {
    Atomics.add(control, bell, 1);
    Atomics.notify(control, bell);
  }
}

function failureOf(error: unknown): TaskFailure {
  if (error instanceof CycleCancelled) return { ok: false, code: 'CANCELLED', message: 'cancelled', kaiCode: '' };
  if (error instanceof JobFaultError) {
    const { fault } = error;
    return { ok: false, code: 'JOB_FAILED', message: fault.stack, kaiCode: '', fault };
  }
  if (error instanceof KaiError) return { ok: false, code: 'REFUSED', message: error.message, kaiCode: error.code };
  return { ok: false, code: 'FAILED', message: error instanceof Error ? (error.stack ?? error.message) : String(error), kaiCode: '' };
}
