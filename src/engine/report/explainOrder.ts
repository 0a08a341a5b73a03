import { formatHuman } from '../../base/formatNumber.ts';
import { createJobTree, type JobTree } from '../jobs/jobTree.ts';
import { precedes, type QueueKeys } from '../queues/queueOrder.ts';
import type { Session } from '../session/session.ts';
import type { QueueRank, StandsBefore } from './explanation.ts';

/** Names told of the jobs before a job. */
const MOST_NAMES = 5;

/** Who is served before each waiting job. Built once for all of them. */
export class ServingOrder {
  readonly #s: Session;
  readonly #tree: JobTree;

  /** `waiting`: the jobs that compete, those that actions may try. */
  constructor(s: Session, waiting: readonly number[]) {
    this.#s = s;
    this.#tree = createJobTree(s, waiting, -1);
  }

  before(job: number): StandsBefore {
    const s = this.#s;
    const queue = s.jobs.queue[job]!;
    if (queue < 0) return { jobCount: 0, jobs: [], queues: [] };
    // The best job stands last.
    const list = this.#tree.jobs[queue] ?? [];
    const ahead = list.includes(job) ? list.slice(list.indexOf(job) + 1).reverse() : [];
    const path: number[] = [];
    for (let q = queue; q >= 0; q = s.queues.parent[q]!) path.unshift(q);
    return {
      jobCount: ahead.length,
      jobs: ahead.slice(0, MOST_NAMES).map((j) => jobName(s, j)),
      queues: path.flatMap((q) => this.#rank(q) ?? []),
    };
  }

  /** Null for a queue without competing jobs. */
  #rank(q: number): QueueRank | null {
    const s = this.#s;
    if (this.#tree.head[q]! < 0) return null;
    const parent = s.queues.parent[q]!;
    const rest = (parent < 0 ? s.queues.top : s.queues.children[parent]!).filter((sibling) => this.#tree.head[sibling]! >= 0);
    const of = rest.length;
    let previous = -1;
    for (let rank = 1; rest.length > 0; rank++) {
      const first = this.#firstOf(rest);
      if (first === q) {
        const name = s.queues.name[q]!;
        if (previous < 0) return { queue: name, rank, of };
        return { queue: name, rank, of, behind: { queue: s.queues.name[previous]!, rule: decidingRule(s, this.#tree.keys, previous, q) } };
      }
      rest.splice(rest.indexOf(first), 1);
      previous = first;
    }
    return null;
  }

  /** As the tree chooses: siblings come by (creation time, name), a challenger must strictly precede. */
  #firstOf(siblings: readonly number[]): number {
    let best = siblings[0]!;
    for (const q of siblings) if (precedes(this.#s, this.#tree.keys, q, best)) best = q;
    return best;
  }
}

function jobName(s: Session, job: number): string {
  return s.view.texts.get(s.view.podGroups.keyText[s.jobs.row[job]!]!);
}

/** The first rule of spec 02 section 11 that tells two siblings apart, in words. `a` is served before `b`. */
function decidingRule(s: Session, k: QueueKeys, a: number, b: number): string {
  const { priority, createdMs, name } = s.queues;
  const [left, right] = [name[a]!, name[b]!];
  if (s.plugins.has('proportion')) {
    if (k.isOverUtilised[a] !== k.isOverUtilised[b]) return `${right} is above its fair share in CPU, memory and GPUs, ${left} is not`;
    if (k.isStarved[a] !== k.isStarved[b]) return `${left} stays within its quota with its next job, ${right} does not`;
    if (priority[a] !== priority[b]) return `queue priority ${priority[a]!} against ${priority[b]!}`;
    if (k.violatesZeroShare[a] !== k.violatesZeroShare[b])
      return `the next job of ${right} needs a resource of which ${right} has no share`;
    if (k.shareWithJob[a] !== k.shareWithJob[b])
      return `${left} would use ${ratio(k.shareWithJob[a]!)} of its share with its next job, ${right} ${ratio(k.shareWithJob[b]!)}`;
    if (k.share[a] !== k.share[b]) return `${left} uses ${ratio(k.share[a]!)} of its share, ${right} ${ratio(k.share[b]!)}`;
    if (precedes(s, k, a, b)) return `${left} has the smaller share to hand out`;
  }
  return createdMs[a] === createdMs[b]
    ? `equal in everything else, the name ${left} comes first`
    : `equal in everything else, ${left} is older`;
}

function ratio(value: number): string {
  return formatHuman(value, 1);
}
