import { join } from 'node:path';
import { noChromium, unpack } from '../unpack.js';

/** SwiftShader, a GPU in software, and the Vulkan loader that finds it, as Chromium ships them for Linux on x86-64. */
const files: readonly string[] = ['libvk_swiftshader.so', 'libvulkan.so.1', 'vk_swiftshader_icd.json'];

/** Why this machine has no software GPU, or null. */
export const noSoftwareGpu = noChromium === null ? null : `no software GPU: ${noChromium}`;

/** The environment in which a Node process finds the software GPU. It has to be there before the process starts. */
export async function softwareGpuEnvironment(): Promise<NodeJS.ProcessEnv> {
  if (noSoftwareGpu !== null) throw new Error(noSoftwareGpu);
  const folder = await unpack('swiftshader.tar.br', (name) => files.includes(name));
  const libraries = [folder, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':');
  const driver = join(folder, 'vk_swiftshader_icd.json');
  return { ...process.env, VK_ICD_FILENAMES: driver, VK_DRIVER_FILES: driver, LD_LIBRARY_PATH: libraries };
}
