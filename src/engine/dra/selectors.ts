// Which devices a request's selectors take: verdicts per (selectors, look of a device), candidates per (selectors, node).
import { type CelDevice, celDevice, SelectorCompiler, type Verdict } from './cel.ts';
import type { DeviceClass } from './deviceClasses.ts';
import type { DeviceTable } from './devices.ts';
import type { SliceIndex } from './slices.ts';

/** Devices of a node that the selectors take, in search order. Devices on which an expression fails are among them. */
export interface Candidates {
  readonly ids: Int32Array;
  readonly hasProblem: boolean;
}

interface SelectorSet {
  readonly deviceClass: DeviceClass;
  readonly own: readonly string[];
  readonly verdicts: (SetVerdict | undefined)[];
  readonly candidates: (Candidates | undefined)[];
}

/** Outcome of class and request selectors; `problem` and `owner` say which selector failed and how. */
interface SetVerdict extends Verdict {
  readonly isClassSelector: boolean;
  readonly index: number;
}

const YES: SetVerdict = { matches: true, problem: '', isClassSelector: false, index: 0 };
const NO: SetVerdict = { matches: false, problem: '', isClassSelector: false, index: 0 };

export class Selectors {
  readonly #devices: DeviceTable;
  readonly #slices: SliceIndex;
  readonly #maxCelEntries: number;
  #compiler: SelectorCompiler | null = null;
  readonly #setOf = new Map<string, number>();
  readonly #sets: SelectorSet[] = [];
  readonly #celDevices: (CelDevice | undefined)[] = [];

  constructor(devices: DeviceTable, slices: SliceIndex, maxCelEntries: number) {
    this.#devices = devices;
    this.#slices = slices;
    this.#maxCelEntries = maxCelEntries;
  }

  /** Number of the pair (class, own selectors). */
  setOf(deviceClass: DeviceClass, own: readonly string[]): number {
    const key = JSON.stringify([deviceClass.name, own]);
    let set = this.#setOf.get(key);
    if (set === undefined) {
      set = this.#sets.length;
      this.#setOf.set(key, set);
      this.#sets.push({ deviceClass, own, verdicts: [], candidates: [] });
    }
    return set;
  }

  candidates(set: number, nodeRow: number): Candidates {
    const known = this.#sets[set]!.candidates[nodeRow];
    if (known !== undefined) return known;
    const found = this.#findCandidates(set, nodeRow);
    this.#sets[set]!.candidates[nodeRow] = found;
    return found;
  }

  /** '' or the message of the selector that fails on the device; `claimKey`: "namespace/name" of the asking claim. */
  problemOn(set: number, id: number, claimKey: string): string {
    const verdict = this.#verdict(set, id);
    if (verdict.problem === '') return '';
    const owner = verdict.isClassSelector ? `class ${this.#sets[set]!.deviceClass.name}` : `claim ${claimKey}`;
    const on = verdict.problem.startsWith('CEL runtime') ? ` on device ${this.#devices.text[id]}` : '';
    return `${owner}: selector #${verdict.index}${on}: ${verdict.problem}`;
  }

  #findCandidates(set: number, nodeRow: number): Candidates {
    const ids: number[] = [];
    let hasProblem = false;
    for (const id of this.#slices.inventory(nodeRow).ids) {
      const verdict = this.#verdict(set, id);
      if (verdict.problem !== '') hasProblem = true;
      else if (!verdict.matches) continue;
      ids.push(id);
    }
    return { ids: Int32Array.from(ids), hasProblem };
  }

  #verdict(set: number, id: number): SetVerdict {
    const { verdicts } = this.#sets[set]!;
    const { matchClass } = this.#devices.facts[id]!;
    const known = verdicts[matchClass];
    if (known !== undefined) return known;
    const verdict = this.#judge(this.#sets[set]!, id);
    verdicts[matchClass] = verdict;
    return verdict;
  }

  #judge(set: SelectorSet, id: number): SetVerdict {
    const ofClass = this.#judgeAll(set.deviceClass.selectors, id, true);
    return ofClass === YES ? this.#judgeAll(set.own, id, false) : ofClass;
  }

  #judgeAll(expressions: readonly string[], id: number, isClassSelector: boolean): SetVerdict {
    if (expressions.length === 0) return YES;
    const device = this.#celDevice(id);
    this.#compiler ??= new SelectorCompiler(this.#maxCelEntries);
    for (let index = 0; index < expressions.length; index++) {
      const verdict = this.#compiler.evaluate(expressions[index]!, device);
      if (verdict.problem !== '') return { ...verdict, isClassSelector, index };
      if (!verdict.matches) return NO;
    }
    return YES;
  }

  #celDevice(id: number): CelDevice {
    const { matchClass, driver, attributes, capacity } = this.#devices.facts[id]!;
    const known = this.#celDevices[matchClass];
    if (known !== undefined) return known;
    const device = celDevice(driver, attributes, capacity);
    this.#celDevices[matchClass] = device;
    return device;
  }
}
