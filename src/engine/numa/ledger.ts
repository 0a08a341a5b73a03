import { add, createJournal, type Journal, mark, rollback, seal } from '../state/journal.ts';
import type { ZonePlacement } from './align.ts';
import type { NodeZones, ZoneTable } from './nodeZones.ts';

/**
 * What is available in the zones (spec 03 section 11A.7), twice: *later*, when everything that leaves has left, which is the
 * spec's ledger; and *now*, where pods that leave still hold their amounts and pods that wait hold none yet (deviation of
 * 11A.9: a bind must fit both). Cells with a journal of their own: undo restores them bit for bit.
 */
export class ZoneLedger {
  readonly #journal: Journal;
  readonly #cellCount: number;
  /** Least amount that counts as held by nobody twice: below 0 only where the records already say more than there is. */
  readonly #floor: Float64Array;

  constructor(table: ZoneTable) {
    this.#cellCount = table.cellCount;
    this.#journal = createJournal(new Float64Array(2 * table.cellCount));
    this.#floor = new Float64Array(table.cellCount);
  }

  /** Sets a node's amounts when the cycle opens. */
  open(zones: NodeZones, amounts: Float64Array): void {
    this.#journal.cells.set(amounts, zones.firstCell);
    this.#journal.cells.set(amounts, this.#cellCount + zones.firstCell);
  }

  /** The cycle begins: what was done so far is final. */
  begin(): void {
    for (let i = 0; i < this.#cellCount; i++) this.#floor[i] = Math.min(0, this.#journal.cells[i]!);
    this.#journal.isRecording = true;
  }

  /** Takes amounts (sign −1) from what is available later, or gives them back. */
  addLater(zones: NodeZones, p: ZonePlacement, sign: 1 | -1): void {
    this.#add(zones.firstCell, p, sign);
  }

  /** The same of what is available now. */
  addNow(zones: NodeZones, p: ZonePlacement, sign: 1 | -1): void {
    this.#add(this.#cellCount + zones.firstCell, p, sign);
  }

  laterInto(zones: NodeZones, out: Float64Array): void {
    const { cells } = this.#journal;
    for (let i = 0; i < zones.allocatable.length; i++) out[i] = cells[zones.firstCell + i]!;
  }

  /** What a bind may take: available now and not promised. */
  bindableInto(zones: NodeZones, out: Float64Array): void {
    const { cells } = this.#journal;
    for (let i = 0; i < zones.allocatable.length; i++) {
      const at = zones.firstCell + i;
      out[i] = Math.min(cells[at]!, cells[this.#cellCount + at]!);
    }
  }

  /** Something on the node is available later that is not now. */
  hasLeaving(zones: NodeZones): boolean {
    const { cells } = this.#journal;
    for (let i = zones.firstCell; i < zones.firstCell + zones.allocatable.length; i++) {
      if (cells[this.#cellCount + i]! < cells[i]!) return true;
    }
    return false;
  }

  /** No amount of the placement is promised to anybody else as well. */
  holds(zones: NodeZones, p: ZonePlacement): boolean {
    const { cells } = this.#journal;
    return p.cell.every((cell) => cells[zones.firstCell + cell]! >= this.#floor[zones.firstCell + cell]!);
  }

  mark(): number {
    return mark(this.#journal);
  }

  rollback(to: number): void {
    rollback(this.#journal, to);
  }

  seal(): void {
    seal(this.#journal);
  }

  #add(first: number, p: ZonePlacement, sign: 1 | -1): void {
    for (let i = 0; i < p.cell.length; i++) add(this.#journal, first + p.cell[i]!, sign * p.amount[i]!);
  }
}
