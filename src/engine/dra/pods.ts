// What each pod has to do with claims (spec 03 sections 11.2, 11.3), joined when it is first asked for.
import { RequestType } from '../../base/codes.ts';
import type { PodClaimJson } from '../../base/jsonColumns.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { addSaturating } from './claimShape.ts';
import type { Claim, ClaimLedger } from './claims.ts';
import type { ExtendedResources } from './extended.ts';

/** One `spec.resourceClaims[]` of a pod. */
export interface ClaimRef {
  /** Name of the entry. */
  readonly name: string;
  /** '' = the template's claim does not exist yet. */
  readonly claimName: string;
  readonly isTemplate: boolean;
  /** Null = not in the ledger. */
  readonly claim: Claim | null;
}

export interface PodClaims {
  readonly namespace: string;
  readonly uid: string;
  readonly uidRow: number;
  readonly shapeRow: number;
  readonly refs: readonly ClaimRef[];
  /** Its shape asks for a resource that a device class serves. */
  readonly isExtended: boolean;
  /** GPUs asked for through claims, and by device class. */
  readonly gpuCount: number;
  readonly gpuCounts: ReadonlyMap<string, number>;
  /** Of these, asked for as extended resources. */
  readonly extendedGpuCount: number;
}

const NO_REFS: readonly ClaimRef[] = Object.freeze([]);
const NO_GPUS: readonly number[] = Object.freeze([]);

export class PodIndex {
  readonly #view: SnapshotView;
  readonly #claims: ClaimLedger;
  readonly #extended: ExtendedResources;
  readonly #pods = new Map<number, PodClaims>();

  constructor(view: SnapshotView, claims: ClaimLedger, extended: ExtendedResources) {
    this.#view = view;
    this.#claims = claims;
    this.#extended = extended;
  }

  /** Cheap test on columns: claims, counted claims or extended resources. */
  isConcerned(podRow: number): boolean {
    const { claimsJson, uidText, shapeRow } = this.#view.pods;
    return claimsJson[podRow] !== NO_ROW || this.#extended.isDemanded(shapeRow[podRow]!) || this.#claims.ofPod(uidText[podRow]!).length > 0;
  }

  get(podRow: number): PodClaims {
    let pod = this.#pods.get(podRow);
    if (pod === undefined) {
      pod = this.#read(podRow);
      this.#pods.set(podRow, pod);
    }
    return pod;
  }

  #read(podRow: number): PodClaims {
    const { texts, pods, shapes } = this.#view;
    const uidRow = pods.uidText[podRow]!;
    const shapeRow = pods.shapeRow[podRow]!;
    const namespace = texts.get(pods.namespaceText[podRow]!);
    const refs = this.#readRefs(podRow, namespace);
    const counted = new Set(this.#claims.ofPod(uidRow));
    for (const ref of refs) if (ref.claim !== null && !ref.isTemplate) counted.add(ref.claim);
    const gpuCounts = new Map<string, number>();
    let gpuCount = 0;
    const add = (className: string, count: number): void => {
      gpuCounts.set(className, addSaturating(gpuCounts.get(className) ?? 0, count));
      gpuCount = addSaturating(gpuCount, count);
    };
    // A legacy MIG annotation replaces the whole GPU record (spec 03 section 3.3 step 6).
    let extendedGpuCount = 0;
    if (shapes.isLegacyMig[shapeRow] !== 1) {
      for (const { isExtended, shape } of counted) if (!isExtended && shape.gpuClass !== '') add(shape.gpuClass, shape.gpuCount);
      for (const [className, count] of this.#extended.gpuCounts(shapeRow)) {
        add(className, count);
        extendedGpuCount = addSaturating(extendedGpuCount, count);
      }
    }
    const isExtended = this.#extended.isDemanded(shapeRow);
    return { namespace, uid: texts.get(uidRow), uidRow, shapeRow, refs, isExtended, gpuCount, gpuCounts, extendedGpuCount };
  }

  #readRefs(podRow: number, namespace: string): readonly ClaimRef[] {
    const row = this.#view.pods.claimsJson[podRow]!;
    if (row === NO_ROW) return NO_REFS;
    return (JSON.parse(this.#view.texts.get(row)) as readonly PodClaimJson[]).map(({ name, claim, template }) => ({
      name,
      claimName: claim ?? '',
      isTemplate: template,
      claim: claim === null ? null : (this.#claims.find(`${namespace}/${claim}`) ?? null),
    }));
  }
}

/** Only Regular requests keep their claims' GPUs when they are placed (spec 03 section 3.6). */
export function chargesClaims(view: SnapshotView, pod: PodClaims): boolean {
  return view.shapes.typeCode[pod.shapeRow] === RequestType.regular;
}

/** GPU devices that the pod's claims have, of each claim at most as many as it counts for. Asked node after node. */
export function gpusOf(pod: PodClaims): readonly number[] {
  let out: number[] | null = null;
  for (const { claim } of pod.refs) {
    if (claim === null || claim.allocation === null) continue;
    const { gpus } = claim.allocation;
    const count = Math.min(gpus.length, claim.shape.gpuCount);
    for (let i = 0; i < count; i++) {
      if (out === null) out = [gpus[i]!];
      else if (!out.includes(gpus[i]!)) out.push(gpus[i]!);
    }
  }
  return out ?? NO_GPUS;
}
