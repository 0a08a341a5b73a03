import { ReceivedType } from '../../base/codes.ts';
import type { RawDecision } from '../../base/decisions.ts';
import type { NodeRow, PodGroupRow, PodRow } from '../../base/rows.ts';
import { isFlat, isStale, isUsedSatisfied, jobCount, rootOf } from '../jobs/gang.ts';
import { sortedPods } from '../jobs/taskOrder.ts';
import { countOf, nodeOf, statusOf } from '../session/occupy.ts';
import type { Session, SubGroupMember } from '../session/session.ts';
import { ALLOCATED, isIn } from '../session/status.ts';
import { inTurn } from '../session/turns.ts';
import { SET_CELL } from '../state/layout.ts';
import { commit, createStatement, evict, undoTo } from '../statement.ts';
import { mayEvict, recordEvictions } from '../victims/safety.ts';
import { describePlacement } from './describe.ts';
import { placeHeir } from './heir.ts';
import type { Action } from './index.ts';

/**
 * Evicts what is left of gangs that have been below their minimum for longer than their grace period (spec 02 section 4.5,
 * 04 section 9); of a broken optional member only that member's pods.
 */
function run(s: Session, emit: (batch: readonly RawDecision[]) => void): void {
  const { staleSinceMs, stalenessGraceMs } = s.view.podGroups;
  for (let job = 0; job < s.jobs.count; job++) {
    const row = s.jobs.row[job]!;
    const known = staleSinceMs[row]!;
    if (jobCount(s, job, SET_CELL.used) === 0 || !isStale(s, job)) {
      if (!Number.isNaN(known)) s.staleSince.set(job, Number.NaN);
      continue;
    }
    const since = Number.isNaN(known) ? s.nowMs : known;
    if (Number.isNaN(known)) s.staleSince.set(job, since);
    else s.stale.add(job);
    const graceMs = Number.isNaN(stalenessGraceMs[row]!) ? s.config.params.defaultStalenessGracePeriodMs : stalenessGraceMs[row]!;
    if (graceMs < 0 || s.nowMs - since < graceMs) continue;
    s.stale.add(job);
    inTurn(s, job, undefined, () => evictJob(s, job, emit));
  }
}

function evictJob(s: Session, job: number, emit: (batch: readonly RawDecision[]) => void): void {
  const sets = isFlat(s, job) ? [s.jobs.firstSet[job]!] : setsToEvict(s, job);
  const pods = sets.flatMap((set) => heldPods(s, set).map((p) => ({ p, set })));
  if (
    pods.length === 0 ||
    !mayEvict(
      s,
      pods.map(({ p }) => p),
    )
  )
    return;
  const st = createStatement(s);
  for (const { p } of pods) evict(st, p, nodeOf(s, p));
  const heir = s.safety?.keepsPlaces === true ? placeHeir(st, job) : -1;
  // Nobody could use the place: the pods stay where they are.
  if (s.safety?.keepsPlaces === true && heir < 0) {
    undoTo(st, 0);
    return;
  }
  const batch: RawDecision[] = [];
  for (const { p, set } of pods) {
    const node = nodeOf(s, p);
    if (s.held.delete(p)) {
      s.counts.bound--;
      continue;
    }
    s.counts.evicted++;
    batch.push({
      kind: 'evict',
      action: 'stalegangeviction',
      podRow: p as PodRow,
      podGroupRow: s.jobs.row[job]! as PodGroupRow,
      nodeRow: (node < 0 ? -1 : s.state.facts.row[node]!) as NodeRow,
      receivedType: ReceivedType.none,
      gpuCount: 0,
      gpuPortion: '0.00',
      gpuGroups: [],
      details: { message: messageOf(s, job, p, set), evictedPods: pods.length, isMoved: false },
    });
  }
  for (const { p } of pods) s.evicted.delete(p);
  recordEvictions(
    s,
    batch.map((d) => d.podRow),
  );
  for (const p of commit(st)) {
    batch.push(describePlacement(s, 'stalegangeviction', heir, p));
    s.counts.pipelined++;
  }
  s.robbed.add(job);
  emit(batch);
}

/** The whole job when its root fails; otherwise only the broken members. */
function setsToEvict(s: Session, job: number): number[] {
  const root = rootOf(s, job);
  const all = (m: SubGroupMember): number[] => (m.set === null ? [m.podSet] : m.set.members.flatMap(all));
  if (!isUsedSatisfied(s, { name: '', set: root, podSet: -1 })) return root.members.flatMap(all);
  return root.members.flatMap(all).filter((set) => countOf(s, SET_CELL.used, set) < s.podSets.min[set]!);
}

function heldPods(s: Session, podSet: number): number[] {
  return Array.from(sortedPods(s, podSet)).filter((p) => isIn(ALLOCATED, statusOf(s, p)));
}

function messageOf(s: Session, job: number, podRow: number, podSet: number): string {
  const pod = s.view.texts.get(s.view.pods.keyText[podRow]!);
  const where = isFlat(s, job) ? '' : ` in sub-group ${s.podSets.name[podSet]!}`;
  return `Workload doesn't meet the minimum required number of pods (${s.podSets.min[podSet]!})${where}, evicting remaining pod: ${pod}`;
}

export const staleGangEviction: Action = Object.freeze({ name: 'stalegangeviction', run });
