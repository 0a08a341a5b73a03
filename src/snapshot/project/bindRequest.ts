import type { BindRequestNumaJson } from '../../base/jsonColumns.ts';
import type { BindRequest } from '../../base/objects.ts';
import type { SnapshotOptions } from '../../base/snapshotView.ts';
import type { COLUMNS } from '../generated/layout.gen.ts';
import type { RecordOf } from '../tables/recordTable.ts';
import { canonicalJson } from './canonicalJson.ts';
import { poolOf } from './node.ts';
import { readNumaZones } from './numa.ts';
import { receivedTypeOf } from './pod.ts';
import { type Report, textOrNull } from './report.ts';

export type BindRequestRecord = RecordOf<typeof COLUMNS.bindRequests>;

/** A bind request as a row: spec 02 section 3.1, 03 section 2.5, 01 section 1.5. */
export function projectBindRequest(
  request: BindRequest,
  key: string,
  namespace: string,
  options: SnapshotOptions,
  report: Report,
): BindRequestRecord {
  const spec = request.spec ?? {};
  const podName = textOrNull(spec.podName);
  if (podName === null) report.add('spec.podName', 'missing');
  const owner = request.metadata.ownerReferences?.find((o) => o.kind === 'Pod');
  const zones = readNumaZones(spec.predictedNUMAZones, 'spec.predictedNUMAZones', report);
  return {
    nameKeyText: key,
    podKeyText: podName === null ? null : `${namespace}/${podName}`,
    ownerUidText: textOrNull(owner?.uid),
    nodeText: textOrNull(spec.selectedNode),
    isFailed: isFailed(request) ? 1 : 0,
    receivedTypeCode: receivedTypeOf(spec.receivedResourceType),
    gpuGroupsJson: listJson(spec.selectedGPUGroups),
    claimsJson: listJson(spec.resourceClaimAllocations),
    extendedJson: spec.extendedResourceClaimAllocation ? canonicalJson(spec.extendedResourceClaimAllocation) : null,
    numaJson: zones === null ? null : canonicalJson(zones satisfies BindRequestNumaJson),
    poolText: poolOf(report.labels(request.metadata), options),
  };
}

/** Failed for good: no retries are left (02 section 3.1). */
function isFailed({ spec, status }: BindRequest): boolean {
  if (status?.phase !== 'Failed') return false;
  const limit = spec?.backoffLimit;
  return limit === null || limit === undefined || (status.failedAttempts ?? 0) >= limit;
}

function listJson(list: readonly unknown[] | null | undefined): string | null {
  return list?.length ? canonicalJson(list) : null;
}
