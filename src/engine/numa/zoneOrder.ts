// Order of the nodes for pods whose zones matter: the class's order with the NUMA score added (spec 03 section 8.2).
import type { PodClass } from '../placement/classIndex.ts';
import { bucketOf, type Evaluator, fitsNow, fittingGroups, keyIn } from '../placement/evaluate.ts';
import { deviceMib, type Request } from '../placement/requests.ts';
import { createWinnerTree, rebuildTree, updateTree, type WinnerTree } from '../placement/winnerTree.ts';
import type { Journal } from '../state/journal.ts';
import type { SlotColumns } from '../state/layout.ts';
import type { ZoneJudge, ZoneVerdicts } from './verdicts.ts';

const REFUSED = Number.NEGATIVE_INFINITY;
/** Classes whose order is kept; the least recently used gives way. */
const MAX_ORDERS = 96;
/** Largest score of placement (packing). */
const BEST_PLACEMENT = 9;

/** Scores of the nodes for a task, in parts. */
interface Ranking {
  /** Availability, sharing and node type. */
  readonly bucket: Float64Array;
  /** Of the zones. */
  readonly score: Float64Array;
  /** Larger first; −Infinity = refused by the class or by its zones. */
  readonly key: Float64Array;
  /** 1 where the class would take the node but for its zones. */
  readonly isRefused: Uint8Array;
}

/** What is asked of a node besides the task's columns. */
export interface Asker {
  readonly columns: SlotColumns;
  readonly request: Request;
  readonly isGpuTask: boolean;
}

/** A class's order, current up to `cursor` in the journal's list of changed nodes. */
export interface ZoneOrder extends Ranking {
  readonly verdicts: ZoneVerdicts;
  readonly tree: WinnerTree;
  cursor: number;
  refusedCount: number;
  /** Accepted nodes by the sum of their scores above placement. */
  readonly countBySum: Map<number, number>;
  /** These sums are so far apart that placement cannot turn their order round: keys order nodes as the scores do. */
  isExact: boolean;
  /** The same of the largest and the next: the node with the largest key is the best. */
  isBestExact: boolean;
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

  /** The same for a task with claims. `creditOf`: of its GPUs, those charged to the node already. */
  claimKeysAmong(
    asker: Asker,
    verdicts: ZoneVerdicts,
    extraGpus: number,
    creditOf: (n: number) => number,
    nodes: Int32Array | null,
  ): Float64Array {
    const ranking = this.#claimRanking;
    for (let n = 0; n < ranking.key.length; n++) rank(this.#evaluator, ranking, asker, verdicts, n, extraGpus, creditOf(n));
    return isPacked(this.#evaluator, asker.isGpuTask) ? this.#sumsAmong(ranking, asker.isGpuTask, nodes) : ranking.key;
  }

  #rankAll(c: PodClass, verdicts: ZoneVerdicts): ZoneOrder {
    const { nodes } = this.#evaluator.state.sizes;
    const order: ZoneOrder = {
      ...createRanking(nodes),
      verdicts,
      tree: createWinnerTree(nodes),
      cursor: this.#journal.changedLength,
      refusedCount: 0,
      countBySum: new Map(),
      isExact: true,
      isBestExact: true,
    };
    for (let n = 0; n < nodes; n++) this.#update(c, order, n);
    rebuildTree(order.tree, order.key);
    setExactness(this.#evaluator, order, c.isGpuTask);
    return order;
  }

  #catchUp(c: PodClass, order: ZoneOrder): void {
    const { changed, changedLength } = this.#journal;
    if (order.cursor === changedLength) return;
    this.#judge.catchUp(order.verdicts);
    if (changedLength - order.cursor > Math.max(64, order.key.length / 10)) {
      for (let n = 0; n < order.key.length; n++) this.#update(c, order, n);
      rebuildTree(order.tree, order.key);
    } else {
      for (let i = order.cursor; i < changedLength; i++) {
        const n = changed[i]!;
        if (i + 1 < changedLength && changed[i + 1] === n) continue;
        this.#update(c, order, n);
        updateTree(order.tree, order.key, n);
      }
    }
    order.cursor = changedLength;
    setExactness(this.#evaluator, order, c.isGpuTask);
  }

  #update(c: PodClass, order: ZoneOrder, n: number): void {
    count(order, n, -1);
    rank(this.#evaluator, order, c, order.verdicts, n, 0, 0);
    count(order, n, 1);
  }

  /** The summed scores, packing measured over the set (8.4). */
  #sumsAmong(ranking: Ranking, isGpuTask: boolean, nodes: Int32Array | null): Float64Array {
    const { facts, ledger: l } = this.#evaluator.state;
    const allocatable = isGpuTask ? facts.allocGpu : facts.allocMilliCpu;
    const idle = isGpuTask ? l.idleGpu : l.idleMilliCpu;
    const releasing = isGpuTask ? l.releasingGpu : l.releasingMilliCpu;
    const size = nodes === null ? allocatable.length : nodes.length;
    let min = Number.POSITIVE_INFINITY;
    let max = 0;
    for (let i = 0; i < size; i++) {
      const n = nodes === null ? i : nodes[i]!;
      if (allocatable[n] === 0) continue;
      const free = idle[n]! + releasing[n]!;
      if (free < min) min = free;
      if (free > max) max = free;
    }
    const sums = this.#sums;
    for (let i = 0; i < size; i++) {
      const n = nodes === null ? i : nodes[i]!;
      if (ranking.key[n] === REFUSED) {
        sums[n] = REFUSED;
        continue;
      }
      let placement = 0;
      if (allocatable[n] !== 0 && max !== 0) {
        placement = min === max ? BEST_PLACEMENT : BEST_PLACEMENT * (1 - (idle[n]! + releasing[n]! - min) / (max - min));
      }
      sums[n] = ranking.bucket[n]! + placement + ranking.score[n]!;
    }
    return sums;
  }
}

function createRanking(nodes: number): Ranking {
  const key = new Float64Array(nodes).fill(REFUSED);
  return { bucket: new Float64Array(nodes), score: new Float64Array(nodes), key, isRefused: new Uint8Array(nodes) };
}

function rank(e: Evaluator, out: Ranking, asker: Asker, v: ZoneVerdicts, n: number, extraGpus: number, credit: number): void {
  const { columns, request: r, isGpuTask } = asker;
  const isAccepted = columns.key[n] !== REFUSED;
  out.isRefused[n] = isAccepted ? v.isRefused[n]! : 0;
  if (!isAccepted || v.isRefused[n] === 1) {
    out.key[n] = REFUSED;
    return;
  }
  const now = v.mustWait[n] === 0 && fitsNow(e, r, n, extraGpus, credit);
  const groups = r.isShared ? fittingGroups(e.state, n, deviceMib(r, e.state.facts.gpuMemoryMib[n]!)) : 0;
  out.bucket[n] = bucketOf(e, r, isGpuTask, n, now, groups);
  out.score[n] = now ? v.scoreNow[n]! : v.scoreLater[n]!;
  out.key[n] = keyIn(e, r, isGpuTask, n, extraGpus, out.bucket[n]! + out.score[n]!);
}

function count(order: ZoneOrder, n: number, sign: 1 | -1): void {
  if (order.isRefused[n] === 1) order.refusedCount += sign;
  if (order.key[n] === REFUSED) return;
  const sum = order.bucket[n]! + order.score[n]!;
  const left = (order.countBySum.get(sum) ?? 0) + sign;
  if (left === 0) order.countBySum.delete(sum);
  else order.countBySum.set(sum, left);
}

function isPacked({ policies: p }: Evaluator, isGpuTask: boolean): boolean {
  return p.placement && !p.fragmentation && !(isGpuTask ? p.spreadGpu : p.spreadCpu);
}

/** Spread keys are the sums of all scores; packing keys are exact where no two sums are as close as what comes below them. */
function setExactness(e: Evaluator, order: ZoneOrder, isGpuTask: boolean): void {
  order.isExact = true;
  order.isBestExact = true;
  if (order.countBySum.size < 2 || !isPacked(e, isGpuTask)) return;
  const sums = [...order.countBySum.keys()].sort((a, b) => b - a);
  for (let i = 1; i < sums.length; i++) {
    if (sums[i - 1]! - sums[i]! > BEST_PLACEMENT) continue;
    order.isExact = false;
    if (i === 1) order.isBestExact = false;
  }
}
