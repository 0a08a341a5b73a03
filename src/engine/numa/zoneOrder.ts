// Order of the nodes for pods whose zones matter: the class's order with the NUMA score added (spec 03 section 8.2).
import type { PodClass } from '../placement/classIndex.ts';
import { bucketOf, type Evaluator, fitsNow, fittingGroups, keyIn, SPREAD_OF_PLACEMENT } from '../placement/evaluate.ts';
import { deviceMib, type Request } from '../placement/requests.ts';
import { createWinnerTree, rebuildTree, updateTree, type WinnerTree } from '../placement/winnerTree.ts';
import type { Journal } from '../state/journal.ts';
import type { SlotColumns } from '../state/layout.ts';
import type { ZoneJudge, ZoneVerdicts } from './verdicts.ts';

const REFUSED = Number.NEGATIVE_INFINITY;
/** Classes whose order is kept; the least recently used gives way. */
const MAX_ORDERS = 96;

/** Scores of the nodes for a class, in parts. */
interface Ranking {
  /** Availability, sharing and node type. */
  readonly bucket: Float64Array;
  readonly score: Float64Array;
  /** Larger first; −Infinity = refused by the class or by its zones. */
  readonly key: Float64Array;
}

/** A class's order, current up to `cursor` in the journal's list of changed nodes. */
export interface ZoneOrder extends Ranking {
  readonly verdicts: ZoneVerdicts;
  readonly tree: WinnerTree;
  cursor: number;
  /** Nodes that take the class but for their zones. */
  refusedCount: number;
  /** Accepted nodes by NUMA score. */
  readonly countByScore: Map<number, number>;
  /** NUMA scores are so far apart that placement cannot turn their order round: keys order nodes as sums do. */
  isExact: boolean;
}

export class ZoneOrders {
  readonly #evaluator: Evaluator;
  readonly #journal: Journal;
  readonly #judge: ZoneJudge;
  readonly #orders = new Map<PodClass, ZoneOrder>();
  readonly #sums: Float64Array;
  readonly #claimRanking: Ranking;

  constructor(evaluator: Evaluator, journal: Journal, judge: ZoneJudge) {
    this.#evaluator = evaluator;
    this.#journal = journal;
    this.#judge = judge;
    const { nodes } = evaluator.state.sizes;
    this.#sums = new Float64Array(nodes);
    this.#claimRanking = createRanking(nodes);
  }

  /** The order for a class whose own columns are current. */
  orderOf(c: PodClass, verdicts: ZoneVerdicts): ZoneOrder {
    let order = this.#orders.get(c);
    if (order === undefined) order = this.#rankAll(c, verdicts);
    else this.#catchUp(c, order);
    this.#orders.delete(c);
    this.#orders.set(c, order);
    if (this.#orders.size > MAX_ORDERS) for (const oldest of [...this.#orders.keys()].slice(0, 1)) this.#orders.delete(oldest);
    return order;
  }

  /** Keys that order the nodes of a set exactly, null = all. Valid until the next call. */
  keysAmong(c: PodClass, order: ZoneOrder, nodes: Int32Array | null): Float64Array {
    return order.isExact ? order.key : this.#sumsAmong(order, c.isGpuTask, nodes);
  }

  /** The same for a task with claims, from the columns of its own evaluation. `creditOf`: GPUs of it charged to a node already. */
  claimKeys(
    columns: SlotColumns,
    verdicts: ZoneVerdicts,
    r: Request,
    isGpuTask: boolean,
    extraGpus: number,
    creditOf: (n: number) => number,
    nodes: Int32Array | null,
  ): Float64Array {
    const ranking = this.#claimRanking;
    for (let n = 0; n < ranking.key.length; n++) this.#rank(ranking, columns, verdicts, r, isGpuTask, n, extraGpus, creditOf(n));
    return isPacked(this.#evaluator, isGpuTask) ? this.#sumsAmong(ranking, isGpuTask, nodes) : ranking.key;
  }

  #rankAll(c: PodClass, verdicts: ZoneVerdicts): ZoneOrder {
    const { nodes } = this.#evaluator.state.sizes;
    const order: ZoneOrder = {
      ...createRanking(nodes),
      verdicts,
      tree: createWinnerTree(nodes),
      cursor: this.#journal.changedLength,
      refusedCount: 0,
      countByScore: new Map(),
      isExact: true,
    };
    for (let n = 0; n < nodes; n++) {
      this.#rank(order, c.columns, verdicts, c.request, c.isGpuTask, n, 0, 0);
      count(order, c.columns, n, 1);
    }
    rebuildTree(order.tree, order.key);
    order.isExact = isExact(this.#evaluator, order, c.isGpuTask);
    return order;
  }

  #catchUp(c: PodClass, order: ZoneOrder): void {
    const { changed, changedLength } = this.#journal;
    if (order.cursor === changedLength) return;
    this.#judge.catchUp(order.verdicts);
    for (let i = order.cursor; i < changedLength; i++) {
      const n = changed[i]!;
      if (i + 1 < changedLength && changed[i + 1] === n) continue;
      uncount(order, n);
      this.#rank(order, c.columns, order.verdicts, c.request, c.isGpuTask, n, 0, 0);
      count(order, c.columns, n, 1);
      updateTree(order.tree, order.key, n);
    }
    order.cursor = changedLength;
    order.isExact = isExact(this.#evaluator, order, c.isGpuTask);
  }
}
