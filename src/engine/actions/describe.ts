import { ReceivedType, RequestType } from '../../base/codes.ts';
import type { DecisionDetails, RawDecision } from '../../base/decisions.ts';
import { formatPortion } from '../../base/formatNumber.ts';
import type { NodeRow, PodGroupRow, PodRow } from '../../base/rows.ts';
import { devicePortion } from '../placement/requests.ts';
import { requestOf } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import { Status } from '../session/status.ts';
import type { Placement } from '../statement.ts';

/** A committed placement as a decision: what the bind request of spec 03 section 10 says. */
export function describePlacement(s: Session, action: string, job: number, p: Placement): RawDecision {
  const r = requestOf(s, p.podRow);
  const isMig = r.type === RequestType.migInstance;
  const portion = r.isShared ? formatPortion(devicePortion(r, s.state.facts.gpuMemoryMib[p.node]!)) : r.wholeGpus > 0 ? '1.00' : '0.00';
  const details = detailsOf(s, p);
  return {
    kind: p.status === Status.pipelined ? 'pipeline' : 'bind',
    action,
    podRow: p.podRow as PodRow,
    podGroupRow: s.jobs.row[job]! as PodGroupRow,
    nodeRow: s.state.facts.row[p.node]! as NodeRow,
    receivedType: isMig ? ReceivedType.migInstance : r.isShared ? ReceivedType.fraction : ReceivedType.regular,
    gpuCount: isMig ? 0 : r.isShared ? r.deviceCount : r.wholeGpus,
    gpuPortion: portion,
    gpuGroups: p.groupNames,
    ...(details === null ? {} : { details }),
  };
}

function detailsOf(s: Session, p: Placement): DecisionDetails | null {
  const claims = claimDetails(s, p.podRow);
  if (s.numa === null || p.zones === null) return claims;
  return { ...claims, predictedNUMAZones: s.numa.describe(p.zones) };
}

function claimDetails(s: Session, podRow: number): DecisionDetails | null {
  if (!s.dra.isConcerned(podRow)) return null;
  const allocations = s.dra.allocationsOf(podRow);
  const extended = s.dra.extendedAllocationOf(podRow);
  if (allocations.length === 0 && extended === null) return null;
  return {
    ...(allocations.length === 0 ? {} : { resourceClaimAllocations: allocations }),
    ...(extended === null ? {} : { extendedResourceClaimAllocation: extended }),
  };
}
