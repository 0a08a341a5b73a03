// The structured allocator: devices of one node for a list of claims, all or nothing, by backtracking (spec 03 section 11.5).

import type { ClaimShape, DeviceRequest, MatchConstraint } from './claimShape.ts';
import type { DeviceClass } from './deviceClasses.ts';
import type { DeviceTable } from './devices.ts';
import { asRecord, asText } from './json.ts';
import type { Candidates, Selectors } from './selectors.ts';
import type { SliceIndex } from './slices.ts';

/** Most devices of one claim (`AllocationResultsMaxSize`). */
const MAX_DEVICES_PER_CLAIM = 32;
/** Trials of one search; claims that need more are as good as unsatisfiable. A count, so that it is the same everywhere. */
const MAX_TRIALS = 20_000;

/** A claim to allocate. */
export interface Demand {
  /** "namespace/name", for messages. */
  readonly claimKey: string;
  readonly shape: ClaimShape;
}

/** Devices of one claim, in the order of its requests. */
export type Picks = readonly { readonly request: number; readonly device: number }[];

export type Outcome =
  | { readonly kind: 'found'; readonly picks: readonly Picks[] }
  | { readonly kind: 'none' }
  /** The claims cannot be judged on this node. `isGeneral`: the message names no claim, it holds for every equal claim. */
  | { readonly kind: 'problem'; readonly message: string; readonly isGeneral: boolean };

const NONE: Outcome = Object.freeze({ kind: 'none' });

export interface AllocatorInput {
  readonly devices: DeviceTable;
  readonly slices: SliceIndex;
  readonly selectors: Selectors;
  readonly classes: ReadonlyMap<string, DeviceClass>;
}

/** Devices that satisfy all demands together on a node, the first such set in search order. Changes nothing. */
export function allocate(input: AllocatorInput, nodeRow: number, demands: readonly Demand[]): Outcome {
  const steps: Step[] = [];
  for (let d = 0; d < demands.length; d++) {
    const problem = addSteps(input, nodeRow, demands[d]!, d, steps);
    if (problem !== '') return { kind: 'problem', message: problem, isGeneral: false };
  }
  if (!canSuffice(input.devices, steps)) return failed(input, nodeRow);
  const search = new Search(input, steps);
  const isFound = search.fill(0, 0, 0);
  if (search.isExhausted) return { kind: 'problem', message: `no solution within ${MAX_TRIALS} trials`, isGeneral: true };
  if (search.problem !== '') return { kind: 'problem', message: search.problem, isGeneral: false };
  if (!isFound) return failed(input, nodeRow);
  const picks = demands.map((): { request: number; device: number }[] => []);
  steps.forEach((step, s) => {
    for (const device of search.picked[s]!) picks[step.demand]!.push({ request: step.request, device });
  });
  return { kind: 'found', picks };
}

function failed(input: AllocatorInput, nodeRow: number): Outcome {
  if (!input.slices.inventory(nodeRow).hasInvalidPool) return NONE;
  return { kind: 'problem', message: 'invalid resource pools were encountered', isGeneral: true };
}

/** One request of one claim. */
interface Step {
  readonly demand: number;
  readonly request: number;
  readonly isAll: boolean;
  readonly need: number;
  readonly set: number;
  readonly claimKey: string;
  readonly requestName: string;
  readonly candidates: Candidates;
  /** Constraints of the claim that this request takes part in. */
  readonly constraints: readonly ConstraintState[];
}

interface ConstraintState {
  readonly attribute: string;
  value: string;
  devices: number;
}

/** Adds the steps of a claim; '' or why it cannot be allocated. */
function addSteps(input: AllocatorInput, nodeRow: number, demand: Demand, d: number, steps: Step[]): string {
  const { shape, claimKey } = demand;
  const constraints = shape.constraints.map((c) => (c === null ? null : { attribute: c.attribute, value: '', devices: 0 }));
  let devices = 0;
  for (let r = 0; r < shape.requests.length; r++) {
    const request = shape.requests[r]!;
    const prefix = `claim ${claimKey}, request ${request.name}`;
    if (request.refusal !== '') return prefix + request.refusal;
    const deviceClass = input.classes.get(request.className);
    if (deviceClass === undefined) {
      const { className } = request;
      return `${prefix}: could not retrieve device class ${className}: deviceclass.resource.k8s.io "${className}" not found`;
    }
    const set = input.selectors.setOf(deviceClass, request.selectors);
    const candidates = input.selectors.candidates(set, nodeRow);
    if (request.isAll) {
      const problem = allProblem(input, nodeRow, set, candidates, claimKey);
      if (problem !== '') return problem.startsWith(':') ? prefix + problem : problem;
    }
    const need = request.isAll ? candidates.ids.length : request.count;
    devices += need;
    steps.push({
      demand: d,
      request: r,
      isAll: request.isAll,
      need,
      set,
      claimKey,
      requestName: request.name,
      candidates,
      constraints: constraints.filter((state, c): state is ConstraintState => state !== null && takesPart(shape.constraints[c]!, request)),
    });
  }
  if (devices > MAX_DEVICES_PER_CLAIM) {
    return `claim ${claimKey}: number of requested devices ${devices} exceeds the claim limit of ${MAX_DEVICES_PER_CLAIM}`;
  }
  const unknown = constraints.indexOf(null);
  return unknown < 0 ? '' : `claim ${claimKey}, constraint #${unknown}: empty constraint (unsupported constraint type?)`;
}

function takesPart(constraint: MatchConstraint, request: DeviceRequest): boolean {
  return constraint.requests.length === 0 || constraint.requests.includes(request.name);
}

/** A request for all devices looks at every pool and device of the node, free or not. */
function allProblem(input: AllocatorInput, nodeRow: number, set: number, candidates: Candidates, claimKey: string): string {
  const { allProblem: ofPools } = input.slices.inventory(nodeRow);
  if (ofPools !== '' || !candidates.hasProblem) return ofPools;
  for (const id of candidates.ids) {
    const problem = input.selectors.problemOn(set, id, claimKey);
    if (problem !== '') return problem;
  }
  return '';
}

/**
 * Are there enough free devices for every group of requests with the same selectors? A cheap bound before the search.
 * Lists on which an expression fails are left to the search, which says so.
 */
function canSuffice(devices: DeviceTable, steps: readonly Step[]): boolean {
  for (let s = 0; s < steps.length; s++) {
    const { candidates, isAll, set } = steps[s]!;
    if (isAll && candidates.ids.length === 0) return false;
    if (candidates.hasProblem) continue;
    let need = 0;
    for (let k = 0; k < steps.length; k++) if (steps[k]!.set === set) need += steps[k]!.need;
    const { ids } = candidates;
    const holders = devices.holders;
    let free = 0;
    for (let i = 0; i < ids.length; i++) if (holders[ids[i]!] === 0) free++;
    if (free < need) return false;
  }
  return true;
}

class Search {
  readonly picked: number[][];
  problem = '';
  readonly #input: AllocatorInput;
  readonly #steps: readonly Step[];
  readonly #inUse = new Set<number>();
  readonly #kindOf = new Map<number, string>();
  #trials = 0;

  constructor(input: AllocatorInput, steps: readonly Step[]) {
    this.#input = input;
    this.#steps = steps;
    this.picked = steps.map(() => []);
  }

  get isExhausted(): boolean {
    return this.#trials > MAX_TRIALS;
  }

  /**
   * Finds devices for step s from its k-th on, and for all later steps. Devices of one request are tried in ascending
   * order only: any other order of the same devices is the same solution.
   */
  fill(s: number, k: number, from: number): boolean {
    const step = this.#steps[s];
    if (step === undefined) return true;
    if (k >= step.need) return this.fill(s + 1, 0, 0);
    if (step.isAll) return this.#fillAll(s, step);
    if (!step.candidates.hasProblem && this.#countUsable(step, from) < step.need - k) return false;
    const { ids } = step.candidates;
    const failedKinds = new Set<string>();
    for (let i = from; i < ids.length; i++) {
      const device = ids[i]!;
      if (!this.#isFree(device)) continue;
      if (step.candidates.hasProblem) {
        this.problem = this.#input.selectors.problemOn(step.set, device, step.claimKey);
        if (this.problem !== '') return false;
      }
      if (!this.#isAllowed(step, device)) continue;
      // A device that differs in nothing from one that failed here fails too.
      if (failedKinds.size > 0 && failedKinds.has(this.#kind(device))) continue;
      this.#pick(s, step, device);
      if (this.fill(s, k + 1, i + 1)) return true;
      this.#unpick(s, step, device);
      if (this.problem !== '' || this.isExhausted) return false;
      this.#trials++;
      failedKinds.add(this.#kind(device));
    }
    return false;
  }

  #fillAll(s: number, step: Step): boolean {
    const { ids } = step.candidates;
    let taken = 0;
    for (; taken < ids.length; taken++) {
      const device = ids[taken]!;
      if (!this.#isFree(device)) break;
      if (!this.#isAllowed(step, device)) {
        const text = this.#input.devices.text[device]!;
        this.problem =
          `claim ${step.claimKey}, request ${step.requestName}: ` +
          `cannot add device ${text} because a claim constraint would not be satisfied`;
        break;
      }
      this.#pick(s, step, device);
    }
    if (taken === ids.length && this.fill(s + 1, 0, 0)) return true;
    while (taken > 0) this.#unpick(s, step, ids[--taken]!);
    return false;
  }

  #isFree(device: number): boolean {
    return this.#input.devices.holders[device] === 0 && !this.#inUse.has(device);
  }

  #countUsable(step: Step, from: number): number {
    const { ids } = step.candidates;
    let usable = 0;
    for (let i = from; i < ids.length; i++) if (this.#isFree(ids[i]!) && this.#isAllowed(step, ids[i]!)) usable++;
    return usable;
  }

  #isAllowed(step: Step, device: number): boolean {
    for (const state of step.constraints) {
      const value = attributeOf(this.#input.devices, device, state.attribute);
      if (value === '' || (state.devices > 0 && value !== state.value)) return false;
    }
    return true;
  }

  #pick(s: number, step: Step, device: number): void {
    for (const state of step.constraints) {
      if (state.devices === 0) state.value = attributeOf(this.#input.devices, device, state.attribute);
      state.devices++;
    }
    this.#inUse.add(device);
    this.picked[s]!.push(device);
  }

  #unpick(s: number, step: Step, device: number): void {
    for (const state of step.constraints) state.devices--;
    this.#inUse.delete(device);
    this.picked[s]!.pop();
  }

  /** Everything about a device that this search can see: which requests want it, and the values of constrained attributes. */
  #kind(device: number): string {
    let kind = this.#kindOf.get(device);
    if (kind === undefined) {
      kind = JSON.stringify(
        this.#steps.map((step) => [
          step.candidates.ids.includes(device) ? 1 : 0,
          ...step.constraints.map((state) => attributeOf(this.#input.devices, device, state.attribute)),
        ]),
      );
      this.#kindOf.set(device, kind);
    }
    return kind;
  }
}

/** Type and value of an attribute "domain/id" as one text, '' when the device lacks it. */
function attributeOf(devices: DeviceTable, device: number, attribute: string): string {
  const { attributes, driver } = devices.facts[device]!;
  const slash = attribute.indexOf('/');
  const isOwnDomain = slash >= 0 && attribute.slice(0, slash) === driver;
  const own = Object.hasOwn(attributes, attribute) ? attribute : isOwnDomain ? attribute.slice(slash + 1) : '';
  if (own === '' || !Object.hasOwn(attributes, own)) return '';
  const { string, int, bool, version } = asRecord(attributes[own]);
  if (typeof string === 'string') return `string ${string}`;
  if (typeof int === 'number') return `int ${int}`;
  if (typeof bool === 'boolean') return `bool ${bool}`;
  return typeof version === 'string' ? `version ${asText(version)}` : '';
}
