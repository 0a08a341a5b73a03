// The agent in a reservation pod: reports which GPU the device plugin has given to the pod (spec 07 section 8).
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { KaiError } from '../base/errors.ts';
import { ApiStatusError, parseApiStatus } from '../kubernetes/apiError.ts';
import { type ApiRequest, jsonOf, type KubeConnection } from '../kubernetes/connection.ts';
import { podPath } from './livePod.ts';
import { DEVICE_ANNOTATION, type ReservationPod } from './reservationPod.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Prints the UUID of each visible GPU, one per line; rejects with code ENOENT when there is no such program. */
export type ListGpus = () => Promise<string>;

const VISIBLE_DEVICES = 'NVIDIA_VISIBLE_DEVICES';
const LIST_TIMEOUT_MS = 20_000;
const UUID = /^(?:GPU|MIG)-[0-9A-Za-z-]+$/;
const NO_GPU_ADVICE = 'the pod needs a GPU of the device plugin and a container runtime that shows it (runtime class nvidia)';

const nvidiaSmi: ListGpus = async () => {
  const { stdout } = await promisify(execFile)('nvidia-smi', ['--query-gpu=uuid', '--format=csv,noheader'], { timeout: LIST_TIMEOUT_MS });
  return stdout;
};

/**
 * UUID of the only GPU of this container: by nvidia-smi, or, where the image has none, by the environment that the device plugin
 * sets. Throws KaiError NO_GPU, or GPU_COUNT when there is more than one.
 */
export async function findGpu(env: Environment, listGpus: ListGpus = nvidiaSmi): Promise<string> {
  const listed = await gpusListed(listGpus);
  const ids = listed ?? (env[VISIBLE_DEVICES] ?? '').split(',').map((id) => id.slice(id.indexOf('=') + 1));
  const gpus = ids.map((id) => id.trim()).filter((id) => UUID.test(id));
  if (gpus.length === 1) return gpus[0]!;
  if (gpus.length > 1)
    throw new KaiError('GPU_COUNT', `found ${gpus.length} devices, 1 was expected: ${NO_GPU_ADVICE}, and shows no other`);
  const where =
    listed === null
      ? `there is no nvidia-smi, and ${VISIBLE_DEVICES} is ${JSON.stringify(env[VISIBLE_DEVICES] ?? '')}`
      : 'nvidia-smi lists none';
  throw new KaiError('NO_GPU', `found 0 devices, 1 was expected (${where}): ${NO_GPU_ADVICE}`);
}

/** null = the program is not there. */
async function gpusListed(listGpus: ListGpus): Promise<string[] | null> {
  try {
    return (await listGpus()).split('\n');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new KaiError('NO_GPU', `nvidia-smi failed: ${error instanceof Error ? error.message.trim() : String(error)}`, { cause: error });
  }
}

/**
 * Writes the device on the own pod, named by POD_NAMESPACE and POD_NAME, unless it is there already, and gives it. Throws KaiError
 * BAD_ENVIRONMENT, those of `findGpu`, and those of the connection.
 */
export async function reportGpu(
  connection: Pick<KubeConnection, 'request'>,
  env: Environment,
  listGpus: ListGpus = nvidiaSmi,
): Promise<string> {
  const { POD_NAMESPACE: namespace, POD_NAME: name } = env;
  if (!namespace || !name) throw new KaiError('BAD_ENVIRONMENT', 'POD_NAMESPACE and POD_NAME must name the pod of this process');
  const path = podPath(namespace, name);
  const pod = (await send(connection, { method: 'GET', path })) as ReservationPod;
  const known = pod.metadata.annotations?.[DEVICE_ANNOTATION];
  if (known !== undefined) return known;
  const device = await findGpu(env, listGpus);
  const body = { metadata: { uid: pod.metadata.uid, annotations: { [DEVICE_ANNOTATION]: device } } };
  await send(connection, { method: 'PATCH', path, contentType: 'application/merge-patch+json', body });
  return device;
}

async function send(connection: Pick<KubeConnection, 'request'>, request: ApiRequest): Promise<unknown> {
  const response = await connection.request(request);
  if (response.status === 200) return jsonOf(response);
  throw new ApiStatusError(`${request.method} ${request.path}`, parseApiStatus(response.status, response.headers, response.body));
}
