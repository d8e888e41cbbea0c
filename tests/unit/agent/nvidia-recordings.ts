/**
 * What `nvidia-smi` has printed. The H100 is recorded from a machine (driver 580.159.04, one card, MIG off), cut down to what is
 * read; the rest follows NVIDIA's documentation of MIG and what people have reported of cards that are broken.
 */

/** `--query-gpu=index,uuid,name,memory.total,driver_version,mig.mode.current --format=csv,noheader,nounits` */
export const H100_TABLE =
  '0, GPU-693f1113-9c39-bb31-2ea5-23bc6cba27fc, NVIDIA H100 80GB HBM3, 81559, 580.159.04, Disabled\n';

/** `-L` */
export const H100_LIST = 'GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-693f1113-9c39-bb31-2ea5-23bc6cba27fc)\n';

/** `-q -x` */
export const H100_REPORT = `<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v13.dtd">
<nvidia_smi_log>
	<timestamp>Thu Nov 26 14:57:08 2026</timestamp>
	<driver_version>580.159.04</driver_version>
	<attached_gpus>1</attached_gpus>
	<gpu id="00000000:00:06.0">
		<product_name>NVIDIA H100 80GB HBM3</product_name>
		<mig_mode>
			<current_mig>Disabled</current_mig>
			<pending_mig>Disabled</pending_mig>
		</mig_mode>
		<mig_devices>
			None
		</mig_devices>
		<serial>0000000000000</serial>
		<uuid>GPU-693f1113-9c39-bb31-2ea5-23bc6cba27fc</uuid>
		<fb_memory_usage>
			<total>81559 MiB</total>
			<reserved>480 MiB</reserved>
			<used>0 MiB</used>
			<free>81079 MiB</free>
		</fb_memory_usage>
	</gpu>
</nvidia_smi_log>
`;

/** Rejected with the exit code 2, as a field that the driver doesn't know is. */
export const UNKNOWN_FIELD = 'Field "mig.mode.current" is not a valid field to query.\n\n';

/** A field of one driver less, as drivers before 450 are asked. */
export const V100_TABLE =
  '0, GPU-1d3a2c6b-0f2c-3a49-7b6c-55a2f0b7e001, Tesla V100-SXM2-16GB, 16160, 418.226.00\n' +
  '1, GPU-1d3a2c6b-0f2c-3a49-7b6c-55a2f0b7e002, Tesla V100-SXM2-16GB, 16160, 418.226.00\n';

/** Card 0 is whole, card 1 is cut into two instances, and card 2 is in MIG mode without any. */
export const A100_TABLE = `0, GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f, NVIDIA A100-SXM4-40GB, 40536, 470.42.01, Disabled
1, GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77, NVIDIA A100-SXM4-40GB, 40536, 470.42.01, Enabled
2, GPU-f124aa59-d406-d45b-9481-8fcd694e6c9e, NVIDIA A100-SXM4-40GB, 40536, 470.42.01, Enabled
`;

export const A100_LIST = `GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
  MIG 3g.20gb     Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
  MIG 1c.2g.10gb  Device  1: (UUID: MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb)
GPU 2: NVIDIA A100-SXM4-40GB (UUID: GPU-f124aa59-d406-d45b-9481-8fcd694e6c9e)
`;

/** Drivers before 470 have no UUIDs of their own for instances. */
export const A100_OLD_LIST = `GPU 1: A100-SXM4-40GB (UUID: GPU-b8ea3855-276c-c9cb-b366-c6fa655957c5)
  MIG 3g.20gb Device 0: (UUID: MIG-GPU-b8ea3855-276c-c9cb-b366-c6fa655957c5/1/0)
`;

export const A100_REPORT = `<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v11.dtd">
<nvidia_smi_log>
	<attached_gpus>3</attached_gpus>
	<gpu id="00000000:07:00.0">
		<mig_mode>
			<current_mig>Disabled</current_mig>
		</mig_mode>
		<mig_devices>
			None
		</mig_devices>
		<uuid>GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f</uuid>
		<fb_memory_usage>
			<total>40536 MiB</total>
		</fb_memory_usage>
	</gpu>
	<gpu id="00000000:0F:00.0">
		<mig_mode>
			<current_mig>Enabled</current_mig>
		</mig_mode>
		<mig_devices>
			<mig_device>
				<index>0</index>
				<gpu_instance_id>1</gpu_instance_id>
				<compute_instance_id>0</compute_instance_id>
				<fb_memory_usage>
					<total>19968 MiB</total>
					<used>11 MiB</used>
				</fb_memory_usage>
				<bar1_memory_usage>
					<total>32767 MiB</total>
				</bar1_memory_usage>
			</mig_device>
			<mig_device>
				<index>1</index>
				<gpu_instance_id>5</gpu_instance_id>
				<compute_instance_id>0</compute_instance_id>
				<fb_memory_usage>
					<total>9984 MiB</total>
					<used>7 MiB</used>
				</fb_memory_usage>
			</mig_device>
		</mig_devices>
		<uuid>GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77</uuid>
		<fb_memory_usage>
			<total>40536 MiB</total>
		</fb_memory_usage>
	</gpu>
	<gpu id="00000000:47:00.0">
		<mig_mode>
			<current_mig>Enabled</current_mig>
		</mig_mode>
		<mig_devices>
			None
		</mig_devices>
		<uuid>GPU-f124aa59-d406-d45b-9481-8fcd694e6c9e</uuid>
	</gpu>
</nvidia_smi_log>
`;

/** It shares the machine's memory and says nothing of it. */
export const UNIFIED_TABLE = '0, GPU-0b7b2a9e-7c0e-1a4e-8a3c-2f1f6e0c9d10, NVIDIA GB10, [N/A], 580.95.05, [N/A]\n';

/** Card 1 has fallen off the bus while the others go on. */
export const LOST_TABLE = `0, GPU-67a571b1-79ee-1016-8ea3-c1fff3f1c1d2, NVIDIA GeForce RTX 2080 Ti, 11019, 520.61.05, [N/A]
Unable to determine the device handle for GPU 0000:0B:00.0: Unknown Error
2, GPU-2d540dd6-583b-cf11-80dd-cc28edc1dd62, NVIDIA GeForce RTX 2080 Ti, 11019, 520.61.05, [N/A]
3, [GPU is lost], [GPU is lost], [GPU is lost], 520.61.05, [GPU is lost]
4, GPU-5adf6ab0-9e4c-4cf3-bd8a-3b1c4f1a6a00, NVIDIA GeForce RTX 2080 Ti, [Unknown Error], 520.61.05, [N/A]
5, GPU-5adf6ab0-9e4c-4cf3-bd8a-3b1c4f1a6a01, ERR!, ERR!, 520.61.05, ERR!
`;

export const NO_DEVICES = 'No devices were found\n';

export const NO_DRIVER =
  "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.\n\n";

/** Some drivers print nothing but this; their list goes on after the card that is lost. */
export const LOST_LIST = `GPU 0: NVIDIA GeForce RTX 2080 Ti (UUID: GPU-67a571b1-79ee-1016-8ea3-c1fff3f1c1d2)
Unable to determine the device handle for gpu 0000:0B:00.0: GPU is lost.  Reboot the system to recover this GPU
GPU 2: NVIDIA GeForce RTX 2080 Ti (UUID: GPU-2d540dd6-583b-cf11-80dd-cc28edc1dd62)
`;

export const NO_HANDLE =
  'Unable to determine the device handle for GPU 0000:0B:00.0: GPU is lost.  Reboot the system to recover this GPU\n';
