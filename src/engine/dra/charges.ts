// GPUs that claims take on nodes: each device once, whoever shares it (spec 03 section 4.8, with its deviation).
import type { UndoLog } from './undoLog.ts';

/** How a pod holds its devices on a node. */
export type ChargeState = 'used' | 'pipelined' | 'releasing';

export interface ChargedGpus {
  readonly used: number;
  readonly releasing: number;
  readonly pipelined: number;
}

const COLUMN: Readonly<Record<ChargeState, number>> = Object.freeze({ used: 0, releasing: 1, pipelined: 2 });

/** Amounts of one pod on one node. */
interface Charge {
  readonly state: ChargeState;
  /** Devices charged by identity. */
  readonly gpus: readonly number[];
  /** GPUs charged by number, because no allocation is known for them. */
  readonly extra: number;
}

/** Pods that hold a device on a node, by state in the order of COLUMN. */
type Consumers = readonly [used: number, releasing: number, pipelined: number];
const NOBODY: Consumers = Object.freeze([0, 0, 0]) as Consumers;

export class NodeCharges {
  readonly #nodeRows: number;
  readonly #log: UndoLog;
  /** Three totals per node, in the order of COLUMN. */
  readonly #totals: Float64Array;
  readonly #charges = new Map<number, Charge>();
  readonly #consumers = new Map<number, Consumers>();

  constructor(nodeRows: number, log: UndoLog) {
    this.#nodeRows = nodeRows;
    this.#log = log;
    this.#totals = new Float64Array(3 * nodeRows);
  }

  totals(nodeRow: number): ChargedGpus {
    const t = this.#totals;
    return { used: t[3 * nodeRow]!, releasing: t[3 * nodeRow + 1]!, pipelined: t[3 * nodeRow + 2]! };
  }

  isCharged(podRow: number, nodeRow: number): boolean {
    return this.#charges.has(podRow * this.#nodeRows + nodeRow);
  }

  /** How many of the devices some pod holds on the node already. */
  countHeld(gpus: readonly number[], nodeRow: number): number {
    let held = 0;
    for (const id of gpus) if (this.#consumers.has(id * this.#nodeRows + nodeRow)) held++;
    return held;
  }

  /** Charges a pod to a node, in place of what it was charged there. */
  put(podRow: number, nodeRow: number, state: ChargeState, gpus: readonly number[], extra: number): void {
    this.#set(podRow, nodeRow, { state, gpus, extra });
  }

  remove(podRow: number, nodeRow: number): void {
    this.#set(podRow, nodeRow, undefined);
  }

  /** Changes how the pod holds what it is charged; nothing happens when it is not charged to the node. */
  setState(podRow: number, nodeRow: number, state: ChargeState): void {
    const charge = this.#charges.get(podRow * this.#nodeRows + nodeRow);
    if (charge !== undefined && charge.state !== state) this.#set(podRow, nodeRow, { ...charge, state });
  }

  #set(podRow: number, nodeRow: number, next: Charge | undefined): void {
    const before = this.#replace(podRow, nodeRow, next);
    this.#log.push(() => {
      this.#replace(podRow, nodeRow, before);
    });
  }

  #replace(podRow: number, nodeRow: number, next: Charge | undefined): Charge | undefined {
    const key = podRow * this.#nodeRows + nodeRow;
    const before = this.#charges.get(key);
    if (before !== undefined) this.#apply(before, nodeRow, -1);
    if (next === undefined) this.#charges.delete(key);
    else {
      this.#charges.set(key, next);
      this.#apply(next, nodeRow, 1);
    }
    return before;
  }

  #apply(charge: Charge, nodeRow: number, sign: 1 | -1): void {
    const column = COLUMN[charge.state];
    this.#add(nodeRow, column, sign * charge.extra);
    for (const id of charge.gpus) {
      const key = id * this.#nodeRows + nodeRow;
      const before = this.#consumers.get(key) ?? NOBODY;
      const after = before.map((n, c) => (c === column ? n + sign : n)) as unknown as Consumers;
      this.#add(nodeRow, columnOf(before), -1);
      this.#add(nodeRow, columnOf(after), 1);
      if (columnOf(after) < 0) this.#consumers.delete(key);
      else this.#consumers.set(key, after);
    }
  }

  #add(nodeRow: number, column: number, amount: number): void {
    if (column < 0) return;
    const cell = 3 * nodeRow + column;
    this.#totals[cell] = this.#totals[cell]! + amount;
  }
}

/** Releasing if all its consumers are, Pipelined if all are, else in use; −1 without consumers. */
function columnOf([used, releasing, pipelined]: Consumers): number {
  const all = used + releasing + pipelined;
  if (all === 0) return -1;
  if (releasing === all) return COLUMN.releasing;
  return pipelined === all ? COLUMN.pipelined : COLUMN.used;
}
