/** What the auditor looks for. Ids are stable: tests and tools name them. */
export const RULES = Object.freeze({
  'unknown-object': 'a decision names a pod, pod group or node that the shard does not have',
  'wrong-action': 'an action that is not configured, or a decision that its action may not make',
  'wrong-state': 'only pending pods get a place, only pods that hold one are evicted',
  'decided-twice': 'a pod gets one place, and is evicted once',
  'wrong-grant': 'devices, portion and GPU groups are those that the pod asks for',
  'not-member': 'only pods of a well-formed sub-group tree get a place',
  'node-overcommit': 'what a pod asks for fits idle (bind), or idle and leaving (pipeline)',
  'group-overcommit': 'the shares of a GPU group fit the memory of one device',
  'group-elsewhere': 'a GPU group is on one node only',
  'device-twice': 'a device is allocated to one claim only',
  'node-unusable': 'cordoned nodes and nodes with bad conditions get nothing',
  'node-taint': 'every NoSchedule and NoExecute taint is tolerated',
  'node-affinity': 'node selector and required node affinity match',
  'node-kind': 'MIG, shared and claimed GPUs only where the node has them; worker labels where nodes are restricted',
  'host-port': 'a host port of a node is used once',
  'pod-affinity': 'required pod affinity holds',
  'pod-anti-affinity': 'required pod anti-affinity holds, both ways',
  'partial-gang': 'a pod set below its minimum gets pods only together with all that its tree requires',
  'bound-while-waiting': 'a job with waiting pods below a minimum binds nothing',
  'queue-unknown': 'only jobs of existing leaf queues get a place',
  'queue-limit': 'the limit of the queue and of each ancestor holds',
  'queue-quota': 'non-preemptible jobs stay within the quota of the queue and of each ancestor',
  'wrong-evictor': 'an eviction names the pending job that it serves; a stale gang has none',
  'evictor-unplaced': 'whoever evicts gets a place by it',
  'evictor-delayed': 'a job inside its preemption delay causes no eviction',
  'evictor-not-preemptible': 'consolidation serves preemptible jobs only',
  'victim-not-preemptible': 'non-preemptible jobs are no victims',
  'victim-queue': 'preempt takes from the own leaf queue, reclaim from other ones',
  'victim-priority': 'preempt takes from strictly lower priority',
  'victim-protected': 'a job inside its minimum runtime loses at most its surplus',
  'partial-unit': 'evictions leave a job whole or take it whole',
  'reclaim-gate': 'a reclaimer stays within its fair share, and within quota when it is non-preemptible',
  'reclaim-fair-share': 'each unit is taken from a queue above its share, or for a guaranteed quota',
  'reclaim-saturation': 'after a reclaim no level is more saturated than a sibling that lost something',
  'move-without-place': 'a pod is called moved exactly when it got a new place',
  'consolidation-unmoved': 'consolidation evicts nobody without a new place',
  'consolidation-size': 'consolidation moves no more jobs than configured, plus one',
  'not-stale': 'only stale gangs are evicted without an evictor',
  'stale-grace': 'a stale gang is evicted when its grace period is over, not before',
  'report-mismatch': 'the reported queue sums and fair shares are right',
} as const);
export type RuleId = keyof typeof RULES;

export interface Finding {
  readonly rule: RuleId;
  /** Kind and name of what the rule was broken for: "pod ns/name", "node n1", "queue q", "pod group ns/name". */
  readonly object: string;
  readonly message: string;
}

/** Collects findings; equal ones are kept once. */
export class Findings {
  readonly list: Finding[] = [];
  readonly #seen = new Set<string>();

  add(rule: RuleId, object: string, message: string): void {
    const key = `${rule}\n${object}\n${message}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.list.push({ rule, object, message });
  }
}

export function formatFinding({ rule, object, message }: Finding): string {
  return `${rule}: ${object}: ${message}`;
}
