// The DRA filter (spec 03 section 11.5), prepared once per pod and then asked for node after node.
import type { SnapshotView } from '../../base/snapshotView.ts';
import { type Allocation, allowsNode } from './allocation.ts';
import { type AllocatorInput, allocate, type Demand, type Outcome } from './allocator.ts';
import type { Claim, ClaimLedger } from './claims.ts';
import type { ExtendedResources, SyntheticClaim } from './extended.ts';
import type { PodClaims } from './pods.ts';

const SYNTHETIC_NAME = '<extended-resources>';

type CheckResult =
  | { readonly kind: 'ok' }
  /** The allocation of a claim binds it to other nodes. */
  | { readonly kind: 'selector'; readonly claimKey: string }
  | Exclude<Outcome, { readonly kind: 'found' }>;

const OK: CheckResult = Object.freeze({ kind: 'ok' });

/** Claims of a pod that have no devices yet, each once, in its order. */
export function unallocatedClaims(pod: PodClaims): readonly Claim[] {
  const out: Claim[] = [];
  for (const { claim } of pod.refs) if (claim !== null && claim.allocation === null && !out.includes(claim)) out.push(claim);
  return out;
}

/** What the allocator must satisfy together: the claims, then the synthetic one. */
export function demandsOf(pod: PodClaims, open: readonly Claim[], synthetic: SyntheticClaim | null): readonly Demand[] {
  const out: Demand[] = open.map(({ key, shape }) => ({ claimKey: key, shape }));
  if (synthetic !== null) out.push({ claimKey: `${pod.namespace}/${SYNTHETIC_NAME}`, shape: synthetic.shape });
  return out;
}

/** Outcomes of one list of shapes by node row, with the versions of the devices that they were found at. */
interface Outcomes {
  readonly nodeVersion: number[];
  readonly networkVersion: number[];
  readonly outcome: Outcome[];
}

/** A pod's part of the filter; void when a claim gets or loses its allocation. */
interface Prepared {
  readonly pod: PodClaims;
  readonly claimVersion: number;
  readonly missing: string;
  readonly allocated: readonly { readonly claimKey: string; readonly allocation: Allocation }[];
  readonly open: readonly Claim[];
  readonly demands: readonly Demand[];
  readonly outcomes: Outcomes;
}

export class NodeCheck {
  readonly #view: SnapshotView;
  readonly #input: AllocatorInput;
  readonly #claims: ClaimLedger;
  readonly #extended: ExtendedResources;
  readonly #outcomes = new Map<string, Outcomes>();
  #prepared: Prepared | null = null;

  constructor(view: SnapshotView, input: AllocatorInput, claims: ClaimLedger, extended: ExtendedResources) {
    this.#view = view;
    this.#input = input;
    this.#claims = claims;
    this.#extended = extended;
  }

  /** Can the pod's claims be satisfied on the node? */
  check(pod: PodClaims, nodeRow: number): CheckResult {
    const p = this.#prepare(pod);
    if (p.missing !== '') return { kind: 'problem', message: `resource claim ${p.missing} not found`, isGeneral: false };
    for (let i = 0; i < p.allocated.length; i++) {
      const { claimKey, allocation } = p.allocated[i]!;
      if (!allowsNode(this.#view, allocation, nodeRow)) return { kind: 'selector', claimKey };
    }
    const synthetic = pod.isExtended ? this.#extended.syntheticClaim(pod.shapeRow, nodeRow) : null;
    const demands = synthetic === null ? p.demands : demandsOf(pod, p.open, synthetic);
    if (demands.length === 0) return OK;
    const outcome = this.#outcome(synthetic === null ? p.outcomes : this.#outcomesOf(demands), demands, nodeRow);
    return outcome.kind === 'found' ? OK : outcome;
  }

  #prepare(pod: PodClaims): Prepared {
    const last = this.#prepared;
    if (last !== null && last.pod === pod && last.claimVersion === this.#claims.version) return last;
    const missing = pod.refs.find(({ claim }) => claim === null);
    const open = unallocatedClaims(pod);
    const demands = demandsOf(pod, open, null);
    const next: Prepared = {
      pod,
      claimVersion: this.#claims.version,
      missing: missing === undefined ? '' : `${pod.namespace}/${missing.claimName}`,
      allocated: pod.refs.flatMap(({ claim }) =>
        claim === null || claim.allocation === null ? [] : [{ claimKey: claim.key, allocation: claim.allocation }],
      ),
      open,
      demands,
      outcomes: this.#outcomesOf(demands),
    };
    this.#prepared = next;
    return next;
  }

  #outcomesOf(demands: readonly Demand[]): Outcomes {
    const key = demands.map(({ shape }) => shape.id).join();
    let outcomes = this.#outcomes.get(key);
    if (outcomes === undefined) {
      outcomes = { nodeVersion: [], networkVersion: [], outcome: [] };
      this.#outcomes.set(key, outcomes);
    }
    return outcomes;
  }

  /** What the allocator says, kept until a device that the node reaches changes hands. */
  #outcome(known: Outcomes, demands: readonly Demand[], nodeRow: number): Outcome {
    const nodeVersion = this.#input.devices.nodeVersion[nodeRow]!;
    const { networkVersion } = this.#input.devices;
    if (known.nodeVersion[nodeRow] === nodeVersion && known.networkVersion[nodeRow] === networkVersion) return known.outcome[nodeRow]!;
    const outcome = allocate(this.#input, nodeRow, demands);
    if (outcome.kind === 'problem' && !outcome.isGeneral) return outcome;
    known.nodeVersion[nodeRow] = nodeVersion;
    known.networkVersion[nodeRow] = networkVersion;
    known.outcome[nodeRow] = outcome;
    return outcome;
  }
}
