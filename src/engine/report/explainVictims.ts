import type { RawDecision } from '../../base/decisions.ts';
import type { Session } from '../session/session.ts';
import type { VictimExplanation } from './explanation.ts';

/** Who was evicted by whom and under which rule, by pod group; one entry per (pod group, action, evictor). */
export function explainVictims(s: Session, decisions: readonly RawDecision[]): VictimExplanation[] {
  const newPlace = new Map(decisions.filter((d) => d.kind === 'pipeline').map((d) => [d.podRow, d.nodeRow]));
  const byCause = new Map<string, RawDecision[]>();
  for (const d of decisions) {
    if (d.kind !== 'evict') continue;
    const key = `${d.podGroupRow} ${d.action} ${d.details?.evictorPodGroup ?? ''}`;
    byCause.set(key, [...(byCause.get(key) ?? []), d]);
  }
  const out = [...byCause.values()].map((list): VictimExplanation => {
    const first = list[0]!;
    const evictor = first.details?.evictorPodGroup;
    const job = jobOfRow(s, first.podGroupRow);
    const pods = list.map((d) => {
      const movedTo = newPlace.get(d.podRow);
      const place = { pod: s.view.texts.get(s.view.pods.keyText[d.podRow]!), node: nodeName(s, d.nodeRow) };
      return movedTo === undefined ? place : { ...place, movedTo: nodeName(s, movedTo) };
    });
    return {
      podGroup: s.view.texts.get(s.view.podGroups.keyText[first.podGroupRow]!),
      queue: queueName(s, job),
      action: first.action,
      ...(evictor === undefined ? {} : { evictor }),
      rule: ruleOf(s, first, job, evictor === undefined ? -1 : jobOfKey(s, evictor)),
      pods,
    };
  });
  const order = (v: VictimExplanation): string => `${v.podGroup} ${v.action} ${v.evictor ?? ''}`;
  return out.sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

function ruleOf(s: Session, d: RawDecision, victim: number, evictor: number): string {
  switch (d.action) {
    case 'preempt':
      return `preempt: its priority ${priorityOf(s, victim)} is below ${priorityOf(s, evictor)} of the evictor in the same queue ${queueName(s, victim)}`;
    case 'consolidation':
      return 'consolidation: it moves, so that the evictor fits; nobody loses a place';
    case 'reclaim':
      return `reclaim: ${queueLine(d)}queue ${queueName(s, evictor)} takes back what it is entitled to from queue ${queueName(s, victim)}`;
    default:
      return `stale gang: ${d.details?.message ?? 'it has fewer pods than it needs'}`;
  }
}

/** The victim side's figures as the eviction message tells them. */
function queueLine(d: RawDecision): string {
  const line = (d.details?.message ?? '').split('\n')[1] ?? '';
  return line === '' ? '' : `${line.replace(/\.$/, '')}; `;
}

function jobOfRow(s: Session, row: number): number {
  return s.jobOfText[s.view.podGroups.keyText[row]!]!;
}

function jobOfKey(s: Session, key: string): number {
  const text = s.view.texts.find(key);
  return text < 0 ? -1 : s.jobOfText[text]!;
}

function priorityOf(s: Session, job: number): string {
  return job < 0 ? 'unknown' : String(s.jobs.priority[job]!);
}

function queueName(s: Session, job: number): string {
  const queue = job < 0 ? -1 : s.jobs.queue[job]!;
  return queue < 0 ? '' : s.queues.name[queue]!;
}

function nodeName(s: Session, nodeRow: number): string {
  return nodeRow < 0 ? '' : s.view.texts.get(s.view.nodes.nameText[nodeRow]!);
}
