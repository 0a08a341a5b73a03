import { formatHuman } from '../../base/formatNumber.ts';
import { divergingPair } from '../queues/queueTree.ts';
import type { Session } from '../session/session.ts';
import type { VictimAction } from './eligibility.ts';
import type { QueueAmounts } from './fairness.ts';

/** Texts of the Evict events and DisruptionTarget conditions of one decision (spec 01 section 5.9). */
export interface EvictionMessages {
  of(podRow: number, victimQueue: number): string;
}

/** `start`: queue sums before the first eviction; all victims of a decision show the same. */
export function createEvictionMessages(s: Session, action: VictimAction, job: number, start: QueueAmounts): EvictionMessages {
  const group = s.view.texts.get(s.view.podGroups.keyText[s.jobs.row[job]!]!);
  const tails = new Map<number, string>();
  const tailOf = (victimQueue: number): string => {
    let tail = tails.get(victimQueue);
    if (tail === undefined) {
      const [mine, theirs] = divergingPair(s, s.jobs.queue[job]!, victimQueue);
      tail = `\n${queueLine(s, theirs, start)}\n${queueLine(s, mine, start)}`;
      tails.set(victimQueue, tail);
    }
    return tail;
  };
  return {
    of(podRow, victimQueue) {
      const pod = s.view.texts.get(s.view.pods.keyText[podRow]!);
      switch (action) {
        case 'preempt':
          return `Pod ${pod} was preempted by higher priority workload ${group}`;
        case 'consolidation':
          return `Pod ${pod} was preempted and rescheduled due to bin packing (resource consolidation) procedure`;
        case 'reclaim':
          return `Pod ${pod} was preempted by workload ${group}.${tailOf(victimQueue)}`;
      }
    },
  };
}

function queueLine(s: Session, q: number, start: QueueAmounts): string {
  const { displayName, quota, fairShare, priority } = s.queues;
  return (
    `${displayName[q]!} uses <${resources(start.allocated, q)}> with a quota of <${resources(quota, q)}>, ` +
    `fair-share of <${resources(fairShare, q)}> and queue priority of <${priority[q]!}>.`
  );
}

function resources(a: Float64Array, q: number): string {
  const gpu = formatHuman(a[3 * q + 2]!, 1000);
  return `GPU: ${gpu}, CPU: ${formatHuman(a[3 * q]!, 1000)} (cores), memory: ${formatHuman(a[3 * q + 1]!, 1e9)} (GB)`;
}
