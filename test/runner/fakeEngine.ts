// A small deterministic engine for the runner's tests: every job searches all nodes, takes the best one and commits a batch.
// It fails on demand. Its script travels in `config.scenarioSearchBudgets`.
import type { SchedulerConfig } from '../../src/base/config.ts';
import { type CycleReport, emptySearchCounts, type RawDecision, type SearchCounts } from '../../src/base/decisions.ts';
import { KaiError } from '../../src/base/errors.ts';
import { type JobFault, JobFaultError } from '../../src/base/jobFault.ts';
import type { NodeRow, PodGroupRow, PodRow } from '../../src/base/rows.ts';
import type { SnapshotView } from '../../src/base/snapshotView.ts';
import type { DecisionSink, SearchContext } from '../../src/engine/cycle.ts';
import { type Course, type SearchPort, TrialEnd } from '../../src/engine/parallel.ts';

export type Fault = 'none' | 'throw' | 'exit' | 'hang' | 'refuse' | 'blame' | 'reject later' | 'decide otherwise' | 'decide less';

export interface FakeScript {
  readonly jobs: number;
  /** Arithmetic steps per node position. */
  readonly work: number;
  /** Decisions of the batch of job 3. */
  readonly largeBatch: number;
  /** The planner leaves the first part of a shared search to a search worker. */
  readonly isSearchAwaited: boolean;
  readonly planFault: Fault;
  readonly searchFault: Fault;
  /** Victim searches made after every job: number of trials, the one that ends it (−1 = none), and whether it finds an answer. */
  readonly finds: readonly (readonly [trials: number, end: number, isFound: boolean])[];
  readonly followFault: Fault;
  readonly faultJob: number;
  /** Jobs that make the planner throw in their turn, unless they are set aside. */
  readonly bombs: readonly number[];
  /** The same jobs are passed over: what is decided without them. */
  readonly isWithoutBombs: boolean;
  /** How many attempts fail. */
  readonly faultTimes: number;
  /** Int32 words of COUNTER, shared by all threads. */
  readonly counters: SharedArrayBuffer;
}
export const COUNTER = { faults: 0, searched: 1, opened: 2, trials: 3, helped: 4, threads: 5 } as const;
const SLOTS = 4;
/** This thread has planned nothing yet. */
let isNewThread = true;

export function fakeSnapshot(nodes: number): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(8);
  new Int32Array(buffer)[0] = nodes;
  return buffer;
}

function createColumn(base: number): Int32Array {
  return Int32Array.from({ length: 4096 }, (_, i) => base + i);
}

const NODES = { nameText: createColumn(0) };
const PODS = { keyText: createColumn(10_000), uidText: createColumn(20_000) };
const POD_GROUPS = { keyText: createColumn(30_000) };

/** Only what the runner and this engine read. */
export function viewSnapshot(buffer: SharedArrayBuffer): SnapshotView {
  const rows = new Int32Array(buffer)[0]!;
  const texts = { capacity: 0, get: (row: number) => `text-${row}`, find: () => -1 as const };
  const view: Pick<SnapshotView, 'buffer' | 'texts'> & Record<string, unknown> = {
    buffer,
    texts,
    nodes: { rows, ...NODES },
    pods: PODS,
    podGroups: POD_GROUPS,
  };
  return view as unknown as SnapshotView;
}

export function stateBytes(view: SnapshotView, _config: SchedulerConfig): number {
  return 8 * view.nodes.rows * (1 + SLOTS);
}

function scriptOf(config: SchedulerConfig): FakeScript {
  return config.scenarioSearchBudgets as unknown as FakeScript;
}

function fill(state: SharedArrayBuffer, nodes: number, slot: number, seed: number, work: number, from: number, to: number): void {
  const picks = new Float64Array(state, 0, nodes);
  const scores = new Float64Array(state, 8 * nodes * (1 + slot), nodes);
  for (let i = from; i < to; i++) {
    let hash = seed ^ Math.imul(i, 0x9e3779b1);
    for (let k = 0; k < work; k++) hash = (Math.imul(hash, 1664525) + 1013904223) | 0;
    scores[i] = (hash >>> 0) / 2 ** 32 - picks[i]! / 8;
  }
}

function faultOf(job: number): JobFault {
  return { podGroupRow: job as PodGroupRow, turn: job + 1, message: `bomb ${job}`, stack: `bomb ${job} somewhere` };
}

function fail(fault: Fault): void {
  if (fault === 'throw') throw new TypeError('fault on demand');
  if (fault === 'blame') throw new JobFaultError(faultOf(20));
  if (fault === 'refuse') throw new KaiError('UNKNOWN_ACTION', 'refused on demand');
  if (fault === 'exit') process.exit(3);
  if (fault === 'hang') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  if (fault === 'reject later') void Promise.reject(new Error('unhandled on demand'));
}

/** True for the first `faultTimes` calls of all threads and attempts together. */
function isDue(script: FakeScript): boolean {
  const counters = new Int32Array(script.counters);
  if (Atomics.load(counters, COUNTER.faults) >= script.faultTimes) return false;
  return Atomics.add(counters, COUNTER.faults, 1) < script.faultTimes;
}

function awaitSearchWorker(counters: Int32Array, before: number): void {
  if (Atomics.load(counters, COUNTER.searched) === before) Atomics.wait(counters, COUNTER.searched, before, 250);
}

/** Every position counts, whoever computed it: stands in the decisions, so that one wrong or stale column shows. */
function checksum(scores: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < scores.length; i++) sum = (Math.imul(sum, 31) + Math.trunc(scores[i]! * 2 ** 30)) | 0;
  return sum;
}

function batchOf(job: number, best: number, sum: number, size: number): RawDecision[] {
  return Array.from({ length: size }, (_, member): RawDecision => {
    const groups = member % 3 === 0 ? [] : [`group-${member}`, 'ü'];
    const decision: RawDecision = {
      kind: member % 7 === 6 ? 'pipeline' : 'bind',
      action: job % 5 === 4 ? 'not in the list' : 'allocate',
      podRow: ((job * 8 + member) % 4096) as PodRow,
      podGroupRow: (job % 4096) as PodGroupRow,
      nodeRow: (best % 4096) as NodeRow,
      receivedType: member % 4,
      gpuCount: sum,
      gpuPortion: member % 2 === 0 ? '' : '0.50',
      gpuGroups: groups,
    };
    return member % 5 === 0 ? { ...decision, details: { message: `job ${job}`, evictorPodGroup: undefined } } : decision;
  });
}

/** The searches of a job, one after the other; what they find adds up in the decisions. */
function findAll(script: FakeScript, job: number, port: SearchPort, isHelper: boolean): { sum: number; counts: SearchCounts } {
  const counters = new Int32Array(script.counters);
  const counts = emptySearchCounts();
  let sum = 0;
  port.tell(port.isKnownToFail() ? false : job % 3 === 0);
  script.finds.forEach(([trials, end, isFound], index) => {
    let isTaken = false;
    const run = (course: Course): number | null => {
      for (let trial = 0; trial < trials && !course.isOver(); trial++) {
        counts.unitsPopped++;
        if (!course.take()) continue;
        Atomics.add(counters, isHelper ? COUNTER.helped : COUNTER.trials, 1);
        counts.simulations += 1 + (trial % 5);
        counts.unitsLeaving += 7 * trial;
        for (let k = 0, hash = trial; k < script.work * 50; k++) hash = (Math.imul(hash, 1664525) + 1013904223) | 0;
        if (trial === end && !isFound) {
          counts.rejected++;
          course.end(TrialEnd.hopeless);
          return null;
        }
        isTaken = trial === end;
        course.end(isTaken ? TrialEnd.found : TrialEnd.nothing);
        if (isTaken) return 1 + trial + index;
      }
      return null;
    };
    const undo = (): void => {
      if (!isTaken) throw new Error('nothing to undo');
      isTaken = false;
    };
    sum =
      (sum * 31 +
        (port.find({
          fingerprint: job * 100 + index,
          isDivisible: index % 4 !== 3,
          counts,
          spent: { steps: 0, isAll: false },
          run,
          undo,
        }) ?? 0)) |
      0;
  });
  return { sum, counts };
}

export function followCycle(view: SnapshotView, config: SchedulerConfig, _nowMs: number, state: SharedArrayBuffer, port: SearchPort): void {
  const script = scriptOf(config);
  if (state.byteLength < stateBytes(view, config)) throw new Error('the state is too small');
  for (let job = 0; job < script.jobs; job++) {
    if (job === script.faultJob && script.followFault !== 'none' && isDue(script)) fail(script.followFault);
    const strayed = script.followFault === 'decide otherwise' && job > script.faultJob ? 1 : 0;
    findAll(script, job + strayed, port, true);
  }
}

export function runCycle(
  view: SnapshotView,
  config: SchedulerConfig,
  _nowMs: number,
  state: SharedArrayBuffer,
  sink: DecisionSink,
  port: SearchPort,
  faults: readonly JobFault[] = [],
): CycleReport {
  const script = scriptOf(config);
  const counters = new Int32Array(script.counters);
  const nodes = view.nodes.rows;
  if (isNewThread) Atomics.add(counters, COUNTER.threads, 1);
  isNewThread = false;
  new Float64Array(state).fill(0);
  const picks = new Float64Array(state, 0, nodes);
  const isRepeated = Atomics.load(counters, COUNTER.faults) > 0;
  sink.phase('open');
  const search = emptySearchCounts();
  const jobs = isRepeated && script.planFault === 'decide less' ? 2 : script.jobs;
  for (let job = 0; job < jobs; job++) {
    if (job === script.faultJob && script.planFault !== 'none' && isDue(script))
      fail(script.planFault.startsWith('decide') ? 'throw' : script.planFault);
    const slot = job % SLOTS;
    let isFirstPart = true;
    const before = Atomics.load(counters, COUNTER.searched);
    port.search({ shapeRow: job, signatureRow: job * 3, slot, rows: nodes }, (from, to) => {
      if (script.isSearchAwaited && from > 0 && isFirstPart) awaitSearchWorker(counters, before);
      isFirstPart = isFirstPart && from === 0;
      fill(state, nodes, slot, job * 5, script.work, from, to);
    });
    const scores = new Float64Array(state, 8 * nodes * (1 + slot), nodes);
    let best = 0;
    for (let i = 1; i < nodes; i++) if (scores[i]! > scores[best]!) best = i;
    if (script.bombs.includes(job)) {
      if (script.isWithoutBombs || faults.some(({ podGroupRow, turn }) => podGroupRow === job && turn === job + 1)) continue;
      throw new JobFaultError(faultOf(job));
    }
    picks[best] = picks[best]! + 1;
    const shift = isRepeated && script.planFault === 'decide otherwise' ? 1 : 0;
    const found = findAll(script, job, port, false);
    for (const key of ['simulations', 'rejected', 'unitsLeaving', 'unitsPopped'] as const) search[key] += found.counts[key];
    sink.commit(batchOf(job, best + shift, (checksum(scores) + found.sum) | 0, job === 3 ? script.largeBatch : (job * 7919) % 6));
  }
  sink.phase('allocate');
  const counts = { bound: script.jobs, pipelined: 0, evicted: 0, jobsAttempted: 0, jobsFailed: 0, nodesEvaluated: 0, scans: 0, classes: 0 };
  return {
    jobs: [],
    queues: [],
    counts,
    search,
    searchByAction: {},
    phaseMs: {},
    staleBindRequests: ['a/b'],
    sameUntilMs: Number.NEGATIVE_INFINITY,
  };
}

export function openSearch(view: SnapshotView, config: SchedulerConfig, state: SharedArrayBuffer): SearchContext {
  const script = scriptOf(config);
  const counters = new Int32Array(script.counters);
  const nodes = view.nodes.rows;
  Atomics.add(counters, COUNTER.opened, 1);
  return {
    run(request, from, to) {
      // Proof that the fields belong together: a torn request would give other columns, and other decisions.
      if (request.signatureRow !== request.shapeRow * 3) throw new Error(`torn request ${JSON.stringify(request)}`);
      if (script.searchFault !== 'none' && request.shapeRow >= script.faultJob && isDue(script)) fail(script.searchFault);
      fill(state, nodes, request.slot, request.shapeRow * 5, script.work, from, to);
      Atomics.add(counters, COUNTER.searched, 1);
      Atomics.notify(counters, COUNTER.searched);
    },
  };
}
