//! Whose a file or a folder is, and who else may write to it.

use std::{fs, io::ErrorKind, path::Path};

use super::Error;

/// Refuses a folder that should be ours and is a symbolic link or somebody else's: what we write there, and the rights that
/// we give it, would be another folder's. Links above it are the person's own business. What is not there yet is fine.
///
/// # Errors
/// [`Error::Symlink`] or [`Error::Foreign`].
pub fn own_dir(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => Err(Error::Symlink(path.to_owned())),
        Ok(metadata) if !is_mine(&metadata) => Err(Error::Foreign(path.to_owned())),
        Ok(_) => Ok(()),
        Err(source) if source.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::new("read", path, source)),
    }
}

/// Refuses a file that decides what is done, if somebody else may have written it: the file, the folder it lies in and, behind
/// a link, the place it really lies in must be this person's or root's, and nobody else may write to them. A group that nobody
/// else is in does no harm, and neither does a folder like /tmp in which each may only replace their own.
///
/// # Errors
/// [`Error::Foreign`] or [`Error::Writable`]. Whether the file is there is not asked.
pub fn only_mine(path: &Path) -> Result<(), Error> {
    let real = fs::canonicalize(path).ok();
    let folders = [Some(path), real.as_deref()].into_iter().flatten().filter_map(Path::parent);
    for place in folders.chain([path]) {
        let Ok(metadata) = fs::metadata(place) else { continue };
        if metadata.is_file() || metadata.is_dir() {
            nobody_else_writes(place, &metadata)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn is_mine(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    metadata.uid() == rustix::process::geteuid().as_raw()
}

#[cfg(unix)]
fn nobody_else_writes(place: &Path, metadata: &fs::Metadata) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt as _;
    const STICKY: u32 = 0o1000;
    let mode = metadata.mode();
    if metadata.uid() != 0 && !is_mine(metadata) {
        return Err(Error::Foreign(place.to_owned()));
    }
    let own_group = || {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let me = rustix::process::geteuid().as_raw();
        is_own_group(&text("/etc/passwd"), &text("/etc/group"), me, metadata.gid())
    };
    let shared = mode & 0o002 != 0 || (mode & 0o020 != 0 && !own_group());
    let harmless = metadata.is_dir() && mode & STICKY != 0;
    if shared && !harmless { Err(Error::Writable(place.to_owned())) } else { Ok(()) }
}

/// Whether nobody but `user` is in a group: many systems give each person one of their own, and let it write by default. What
/// cannot be found out is a no.
#[cfg(unix)]
fn is_own_group(passwd: &str, group: &str, user: u32, gid: u32) -> bool {
    let (user, gid) = (user.to_string(), gid.to_string());
    let accounts: Vec<Vec<&str>> = passwd.lines().map(|line| line.split(':').collect()).collect();
    let Some(name) = accounts.iter().find(|account| account.get(2) == Some(&user.as_str())).map(|account| account[0])
    else {
        return false;
    };
    let others = accounts.iter().any(|account| account.get(3) == Some(&gid.as_str()) && account[0] != name);
    let groups = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut named = groups.filter(|group| group.get(2) == Some(&gid.as_str())).peekable();
    let alone = |group: &Vec<&str>| {
        group.get(3).is_some_and(|members| members.split(',').all(|member| member.is_empty() || member == name))
    };
    !others && named.peek().is_some() && named.all(|group| alone(&group))
}

/// Windows' own lists say who may write; folders below a profile are closed to others by inheritance.
#[cfg(not(unix))]
fn is_mine(_: &fs::Metadata) -> bool {
    true
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
fn nobody_else_writes(_: &Path, _: &fs::Metadata) -> Result<(), Error> {
    Ok(())
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::files::{private_dir, read, tests::TempDir, write};

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn nothing_is_written_or_closed_through_a_linked_folder() {
        let dir = TempDir::new();
        let (theirs, link) = (dir.path("theirs"), dir.path("link"));
        fs::create_dir(&theirs).unwrap();
        fs::write(theirs.join("file"), "theirs").unwrap();
        mode(&theirs, 0o755);
        mode(&theirs.join("file"), 0o644);
        symlink(&theirs, &link).unwrap();
        assert!(matches!(private_dir(&link), Err(Error::Symlink(path)) if path == link));
        assert!(matches!(write(&link.join("file"), b"ours"), Err(Error::Symlink(_))));
        assert!(matches!(read(&link.join("file")), Err(Error::Symlink(_))));
        assert_eq!((mode_of(&theirs), mode_of(&theirs.join("file"))), (0o755, 0o644));
        assert_eq!(fs::read(theirs.join("file")).unwrap(), b"theirs");
        symlink(dir.path("nowhere"), dir.path("dangling")).unwrap();
        assert!(matches!(private_dir(&dir.path("dangling")), Err(Error::Symlink(_))));
        // A link above it is the person's own.
        write(&link.join("agentctl/file"), b"ours").unwrap();
        assert_eq!(read(&theirs.join("agentctl/file")).unwrap().unwrap(), b"ours");
    }

    #[test]
    fn somebody_elses_folder_stays_as_it_is() {
        let dir = TempDir::new();
        let theirs = dir.path("theirs");
        fs::create_dir(&theirs).unwrap();
        // Only root can give a folder away; whoever else runs this looks at one of root's.
        let given = std::os::unix::fs::chown(&theirs, Some(65534), None).is_ok();
        let theirs = if given { theirs } else { Path::new("/usr").to_owned() };
        let before = mode_of(&theirs);
        assert!(matches!(private_dir(&theirs), Err(Error::Foreign(_))));
        assert_eq!(mode_of(&theirs), before);
        assert_eq!(matches!(only_mine(&theirs.join("config.toml")), Err(Error::Foreign(_))), given, "root's is fine");
    }

    #[test]
    fn what_others_may_write_decides_nothing() {
        let dir = TempDir::new();
        let (folder, file) = (dir.path("folder"), dir.path("folder/config.toml"));
        write(&file, b"").unwrap();
        only_mine(&file).unwrap();
        for (of_folder, of_file, wrong) in [
            (0o755, 0o644, None),
            (0o777, 0o644, Some(&folder)),
            (0o1777, 0o600, None),
            (0o700, 0o646, Some(&file)),
            (0o1777, 0o666, Some(&file)),
        ] {
            mode(&folder, of_folder);
            mode(&file, of_file);
            let found = only_mine(&file);
            let named = match &found {
                Err(Error::Writable(path)) => Some(path),
                _ => None,
            };
            assert_eq!((named, found.is_ok()), (wrong, wrong.is_none()), "{of_folder:o} {of_file:o}");
        }
        // A folder without the file yet, and a link to a place that is open.
        fs::remove_file(&file).unwrap();
        only_mine(&file).unwrap();
        mode(&folder, 0o777);
        assert!(matches!(only_mine(&file), Err(Error::Writable(path)) if path == folder));
        fs::write(&file, "").unwrap();
        mode(&file, 0o644);
        let link = dir.path("linked.toml");
        symlink(&file, &link).unwrap();
        assert!(matches!(only_mine(&link), Err(Error::Writable(_))));
        mode(&folder, 0o755);
        only_mine(&link).unwrap();
        only_mine(&dir.path("nowhere/at/all")).unwrap();
    }

    #[test]
    fn a_group_of_ones_own_is_told_from_a_shared_one() {
        let passwd = "root:x:0:0::/:\nada:x:1000:1000::/:\ngrace:x:1001:1001::/:\nbob:x:1002:50::/:\n";
        let group = "root:x:0:\nada:x:1000:\ngrace:x:1001:ada\nstaff:x:50:\nself:x:60:ada\nada2:x:1000\n";
        let own = |user, gid| is_own_group(passwd, &group.replace("ada2:x:1000\n", ""), user, gid);
        assert!(own(1000, 1000) && own(1000, 60) && own(0, 0));
        for (user, gid, why) in
            [(1001, 1001, "a member"), (1000, 50, "somebody's first group"), (1000, 99, "unknown"), (7, 1000, "nobody")]
        {
            assert!(!own(user, gid), "{why}");
        }
        assert!(!is_own_group(passwd, group, 1000, 1000), "a line that nobody understands");
        assert!(!is_own_group("", "", 1000, 1000));
    }
}
