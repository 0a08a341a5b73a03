import { ReceivedType } from '../../base/codes.ts';
import type { RawDecision, TakenBack } from '../../base/decisions.ts';
import { formatGoDuration } from '../../base/duration.ts';
import type { NodeRow, PodGroupRow, PodRow } from '../../base/rows.ts';
import { jobCount, mustPipelineWhole } from '../jobs/gang.ts';
import { createJobTree, type JobTree, popJob, refresh, renewJob, tasksOf } from '../jobs/jobTree.ts';
import { needOf } from '../jobs/selectTasks.ts';
import { preCheck } from '../placement/prepredicates.ts';
import { findViolation } from '../queues/capacity.ts';
import { addJobError } from '../report/jobErrors.ts';
import { queueCell } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import { inTurn } from '../session/turns.ts';
import { SET_CELL } from '../state/layout.ts';
import { commit, createStatement, type Statement, undoTo } from '../statement.ts';
import type { VictimAction } from '../victims/eligibility.ts';
import { createWaitingJobs, forgetQueue, isWaiting, listWaiting, passOver, type WaitingJobs } from '../victims/entitlement.ts';
import { mayReclaim } from '../victims/fairness.ts';
import { createEvictionMessages } from '../victims/messages.ts';
import { searchSafely } from '../victims/safeSearch.ts';
import { recordEvictions } from '../victims/safety.ts';
import type { Solution } from '../victims/searchState.ts';
import { createVictimOrder, reorderVictims, type VictimOrder } from '../victims/victimWalk.ts';
import { type ActionLimit, nextSearchLimit, openActionLimit, type SearchLimit, type Spent } from '../victims/workLimit.ts';
import { pendingJobs } from './allocate.ts';
import { describePlacement } from './describe.ts';
import { undoLostPromises } from './lostPromises.ts';

type Emit = (batch: readonly RawDecision[]) => void;

/** The frame of reclaim, preempt and consolidation: who may ask, in which order, and what becomes of it (spec 04 section 2). */
export function runVictimAction(s: Session, action: VictimAction, emit: Emit): void {
  const jobLimit = action === 'consolidation' ? consolidationLimit(s) : Number.POSITIVE_INFINITY;
  if (jobLimit === 0) return;
  const candidates = pendingJobs(s).filter((job) => (action !== 'consolidation' || s.jobs.isPreemptible[job] === 1) && !isDelayed(s, job));
  if (candidates.length === 0) return;
  const tree = createJobTree(s, candidates, s.config.queueDepthPerAction[action] ?? -1);
  const waiting = createWaitingJobs(s, candidates);
  const limit = openActionLimit(s.config, action);
  const run: Run = { s, action, emit, jobLimit, tree, waiting, limit, order: null, failed: new Set(), isOver: false };
  for (let job = popJob(s, tree); job >= 0 && !run.isOver; job = popJob(s, tree)) {
    const victims = inTurn(s, job, null, () => serve(run, job));
    if (victims === null) passOver(s, waiting, tree, job);
    else noteVictims(run, job, victims);
    refresh(s, tree, s.jobs.queue[job]!);
  }
}

/** One run of an action. */
interface Run {
  readonly s: Session;
  readonly action: VictimAction;
  readonly emit: Emit;
  readonly jobLimit: number;
  readonly tree: JobTree;
  readonly waiting: WaitingJobs;
  readonly limit: ActionLimit;
  /** Made when somebody is searched for. */
  order: VictimOrder | null;
  /** What those asked for that failed since somebody was served. */
  readonly failed: Set<string>;
  /** Nothing is left to search with. */
  isOver: boolean;
}

/** A job's turn: the jobs that lost pods to it, null = it got nothing. */
function serve(run: Run, job: number): number[] | null {
  const { s, action, emit, jobLimit, waiting, failed } = run;
  const tasks = tasksOf(s, run.tree, job);
  if (tasks.length === 0 || !isAllowed(s, action, job, tasks)) return null;
  const key = requestKey(s, job, tasks);
  if (key !== '' && failed.has(key)) {
    s.search.skipped++;
    return null;
  }
  if (!hasGenerator(s)) {
    s.search.attempts++;
    s.search.unsearched++;
    return null;
  }
  const limit = nextSearchLimit(run.limit);
  if (limit === null) {
    s.search.notAttempted++;
    run.isOver = true;
    return null;
  }
  s.search.attempts++;
  run.order ??= createVictimOrder(s);
  const st = createStatement(s);
  const spent: Spent = { steps: 0, isAll: false };
  let solution: Solution | null = null;
  if (mayPreempt(s, action, job, tasks)) {
    const wanted = { action, job, tasks, order: run.order, waiting, jobLimit, limit, spent };
    if (action === 'reclaim') listWaiting(s, waiting, job);
    solution = s.port.find({
      fingerprint: fingerprintOf(s, job, tasks),
      // With budgets a search is made several times over, each as far as it goes.
      isDivisible: !s.safety?.budgets,
      counts: s.search,
      spent,
      run: (course) => {
        Object.assign(spent, { steps: 0, isAll: false });
        return searchSafely(st, { ...wanted, course });
      },
      undo: () => undoTo(st, 0),
    });
  }
  run.limit.left -= spent.steps;
  const isExhausted = solution === null && spent.isAll;
  countSearch(s, limit, solution !== null, isExhausted);
  if (solution === null) {
    // That a search ran out of its time says nothing about jobs that ask for the same.
    if (!isExhausted) failed.add(key);
    return null;
  }
  s.search.solved++;
  failed.clear();
  return finish(st, action, job, solution, emit);
}

/** Those that lost pods have another place in every order. */
function noteVictims({ s, tree, waiting, order }: Run, job: number, victims: readonly number[]): void {
  reorderVictims(s, order!, victims);
  for (const changed of [job, ...victims.filter((victim) => isWaiting(s, victim))]) forgetQueue(waiting, s.jobs.queue[changed]!);
  for (const victim of victims) renewJob(s, tree, victim);
  for (const q of new Set(victims.map((victim) => s.jobs.queue[victim]!))) if (tree.jobs[q] !== undefined) refresh(s, tree, q);
}

function countSearch(s: Session, limit: SearchLimit, isSolved: boolean, isExhausted: boolean): void {
  if (isExhausted) s.search.exhausted++;
  if (!limit.isReduced) return;
  s.search.reducedAttempts++;
  if (isSolved) s.search.reducedSolved++;
  if (isExhausted) s.search.reducedExhausted++;
}

/** Differs, but for odd chances, where threads would not agree on who searches, or on who holds what. */
function fingerprintOf(s: Session, job: number, tasks: readonly number[]): number {
  let hash = Math.imul(job, 31) + tasks.length;
  for (const p of tasks) hash = Math.imul(hash, 31) + p;
  for (let q = 0; q < s.queues.count; q++)
    for (let r = 0; r < 3; r++) hash = Math.imul(hash, 31) + (s.state.cells[queueCell(s, r, q)]! | 0);
  return hash | 0;
}

/** Without a generator plugin nobody is searched for (spec 04 section 1.2; one search serves both names). */
function hasGenerator(s: Session): boolean {
  return s.plugins.has('sg-nodelocalgreedy') || s.plugins.has('sg-multinodegang');
}

/** At most max + 1 jobs take part in a consolidation; 0 = none, −1 = any number (spec 04 section 3.4). */
function consolidationLimit(s: Session): number {
  const max = s.config.params.maxNumberConsolidationPreemptees;
  if (max === 0) return 0;
  return max < 0 ? Number.POSITIVE_INFINITY : max + 1;
}

/** Inside its preemption delay a job evicts nobody, and is told so once (spec 02 section 4.4). */
function isDelayed(s: Session, job: number): boolean {
  const row = s.jobs.row[job]!;
  const delayMs = s.view.podGroups.preemptionDelayMs[row]!;
  if (!(delayMs > 0)) return false;
  const lastEviction = s.robbed.has(job) ? s.nowMs : s.view.podGroups.lastEvictionMs[row]!;
  const endMs = Math.max(s.jobs.createdMs[job]!, Number.isNaN(lastEviction) ? 0 : lastEviction) + delayMs;
  if (s.nowMs >= endMs) return false;
  const until = new Date(endMs).toISOString().replace(/\.\d+Z$/, 'Z');
  const message = `Workload is within its preemption delay window (${formatGoDuration(delayMs)}) and may not trigger evictions before ${until}`;
  addJobError(s, job, { reason: 'PreemptionDelayNotElapsed', message, detail: message, subGroup: '' });
  return true;
}

/** Gates that come before the search and leave no trace, and failures that no eviction can cure (spec 04 sections 2.5, 2.9). */
function isAllowed(s: Session, action: VictimAction, job: number, tasks: readonly number[]): boolean {
  if (action === 'reclaim' && !mayReclaim(s, job, needOf(s, tasks, s.minGpuMib, true))) return false;
  for (const p of tasks) {
    const failure = preCheck(s, p);
    if (failure === null || failure.invariant === null) continue;
    const pod = s.view.texts.get(s.view.pods.keyText[p]!);
    if (!s.errors.task.has(p)) s.errors.task.set(p, failure.invariant);
    const message = `Resources were not found for pod ${pod} due to: ${failure.invariant}`;
    addJobError(s, job, { reason: 'PodSchedulingErrors', message, detail: message, subGroup: '' }, true);
    return false;
  }
  return true;
}

/** Preempt: a non-preemptible job must stay within quota (spec 04 section 2.6). */
function mayPreempt(s: Session, action: VictimAction, job: number, tasks: readonly number[]): boolean {
  if (action !== 'preempt' || s.jobs.isPreemptible[job] === 1) return true;
  const violation = findViolation(s, job, needOf(s, tasks, s.maxGpuMib, false));
  return violation === null || violation.isLimit;
}

/** Jobs with equal keys ask for the same under the same rules: if one failed and nothing changed, so will the next. '' = compares with nobody. */
export function requestKey(s: Session, job: number, tasks: readonly number[]): string {
  if (!s.config.params.useSchedulingSignatures) return '';
  const { shapeRow, signatureRow, labelSetRow, claimsJson, nominatedNodeText } = s.view.pods;
  if (s.jobs.tree.has(job) || s.view.podGroups.topologyJson[s.jobs.row[job]!]! >= 0) return '';
  let key = `${s.jobs.queue[job]!},${s.jobs.priority[job]!},${s.jobs.isPreemptible[job]!}`;
  let last = '';
  let run = 0;
  for (const p of tasks) {
    if (claimsJson[p]! >= 0) return '';
    const kind = `${shapeRow[p]!}.${signatureRow[p]!}.${s.hasPodAffinity ? labelSetRow[p]! : ''}.${nominatedNodeText[p]!}`;
    if (kind !== last && run > 0) key += `;${last}x${run}`;
    run = kind === last ? run + 1 : 1;
    last = kind;
  }
  return `${key};${last}x${run}`;
}

/** Commits a solution: evictions in victim order, then placements. Returns the jobs that lost pods. */
function finish(st: Statement, action: VictimAction, job: number, { start, units }: Solution, emit: Emit): number[] {
  const s = st.session;
  const gone = goneTasks(st);
  const leaving = units.flatMap((unit) => unit.pods).filter((p) => gone.has(p));
  const perJob = new Map<number, number>();
  for (const p of leaving) perJob.set(jobOf(s, p), (perJob.get(jobOf(s, p)) ?? 0) + 1);
  const messages = createEvictionMessages(s, action, job, start);
  const evictor = s.view.texts.get(s.view.podGroups.keyText[s.jobs.row[job]!]!);
  const batch: RawDecision[] = [];
  const takenBack: TakenBack[] = [];
  for (const p of leaving) {
    const node = gone.get(p)!;
    const victim = jobOf(s, p);
    // A bind of this cycle that nobody has seen yet is simply not made.
    if (s.held.delete(p)) {
      s.counts.bound--;
      takenBack.push({
        pod: keyOf(s, p),
        node: s.view.texts.get(s.view.nodes.nameText[s.state.facts.row[node]!]!),
        evictionsBefore: batch.length,
      });
      if (!s.evicted.has(p)) s.postponed.add(s.jobs.row[victim]!);
      continue;
    }
    batch.push({
      kind: 'evict',
      action,
      podRow: p as PodRow,
      podGroupRow: s.jobs.row[victim]! as PodGroupRow,
      nodeRow: (node < 0 ? -1 : s.state.facts.row[node]!) as NodeRow,
      receivedType: ReceivedType.none,
      gpuCount: 0,
      gpuPortion: '0.00',
      gpuGroups: [],
      details: {
        message: messages.of(p, s.jobs.queue[victim]!),
        evictorPodGroup: evictor,
        evictedPods: perJob.get(victim)!,
        isMoved: !s.evicted.has(p),
      },
    });
    s.counts.evicted++;
  }
  for (const p of leaving) s.evicted.delete(p);
  const waitAgain = withdrawPromises(st, takenBack);
  for (const victim of perJob.keys()) {
    takenBack.push(...undoLostPromises(s, victim));
    // What is left of it may need the pods that wait to be a gang: then nothing of it is bound yet (spec 03 section 6.8).
    if (mustPipelineWhole(s, victim)) s.postponed.add(s.jobs.row[victim]!);
  }
  const placements = commit(st);
  for (const p of placements) {
    const owner = jobOf(s, p.podRow);
    const decision = describePlacement(s, action, owner, p);
    batch.push(owner === job ? decision : { ...decision, details: { ...decision.details, evictorPodGroup: evictor } });
    s.counts.pipelined++;
  }
  if (takenBack.length > 0) batch[0] = { ...batch[0]!, details: { ...batch[0]!.details, takenBack } };
  for (const d of batch) if (d.kind === 'evict') s.robbed.add(jobOf(s, d.podRow));
  if (s.safety !== null)
    recordEvictions(
      s,
      batch.flatMap((d) => (d.kind === 'evict' ? [d.podRow] : [])),
    );
  for (const victim of perJob.keys()) if (jobCount(s, victim, SET_CELL.allocated) === 0) s.started.delete(victim);
  emit(batch);
  return [...perJob.keys(), ...waitAgain];
}

/** Makes the statement's withdrawals known and final; returns the jobs whose promises are gone. */
function withdrawPromises(st: Statement, takenBack: TakenBack[]): Set<number> {
  const s = st.session;
  const jobs = new Set<number>();
  for (const op of st.ops) {
    if (op.kind !== 'withdraw') continue;
    takenBack.push({
      pod: keyOf(s, op.podRow),
      node: s.view.texts.get(s.view.nodes.nameText[s.state.facts.row[op.node]!]!),
      isPromise: true,
    });
    s.held.delete(op.podRow);
    s.counts.pipelined--;
    jobs.add(jobOf(s, op.podRow));
  }
  return jobs;
}

function keyOf(s: Session, podRow: number): string {
  return s.view.texts.get(s.view.pods.keyText[podRow]!);
}

function jobOf(s: Session, podRow: number): number {
  return s.podSets.job[s.tasks.podSet[podRow]!]!;
}

/** Tasks whose eviction was not taken back later in the statement, all of units that leave; with the node they were on. */
function goneTasks(st: Statement): Map<number, number> {
  const gone = new Map<number, number>();
  for (const op of st.ops) {
    if (op.kind === 'evict') gone.set(op.podRow, op.node);
    else if (op.kind === 'restore') gone.delete(op.podRow);
  }
  return gone;
}
