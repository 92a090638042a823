//! What only Unix knows of files: their identity, and whether other machines write to them.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What a file is, whatever it is called: a folder that is made anew under the same name is another.
pub type Identity = (u64, u64);

/// The identity of what `metadata` tells of.
pub fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// A number that rises with every change, also with one that keeps the time of modification.
pub fn changed_at(metadata: &Metadata) -> (i64, i64) {
    (metadata.ctime(), metadata.ctime_nsec())
}

/// Whether other machines may write to `folder` without this kernel knowing.
#[cfg(target_os = "linux")]
pub fn is_remote(folder: &Path) -> bool {
    /// NFS, SMB (three drivers), AFS, Ceph, 9p, FUSE (which sshfs is), and the shared folders of VirtualBox and VMware:
    /// numbers from statfs(2).
    const REMOTE: [u32; 10] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x5346_414f,
        0x00c3_6400,
        0x0102_1997,
        0x6573_5546,
        0x786f_4256,
        0xbacb_acbc,
    ];
    // The number is 32 bits wide, whatever the width of the field.
    rustix::fs::statfs(folder).is_ok_and(|system| REMOTE.contains(&(system.f_type as u32)))
}

/// Whether other machines may write to `folder` without this kernel knowing: not known here.
#[cfg(not(target_os = "linux"))]
pub fn is_remote(_folder: &Path) -> bool {
    false
}
