//! Names that rclone said nothing about are looked up at the source.

use std::collections::HashSet;

use model::CopyOptions;
use storage::posix::{Dir, Kind};

use super::claims::{Claim, Claims};
use super::ends::End;
use super::piece::{Piece, Watch, open_parent};
use super::private::PrivateDir;
use super::remote::{Depth, Listed, Only, RemoteListing, Times, list_remote};
use crate::attempt::Stopped;
use crate::compare::{Comparison, compare_files};
use crate::engine::describe;

/// Gives a claim to each of `these` that can't be copied, with what is wrong; the others keep none.
pub(crate) fn look_up(
    piece: &Piece<'_>,
    claims: &mut Claims,
    these: &[usize],
    private: &PrivateDir,
    watch: &mut Watch<'_>,
) -> Result<(), Stopped> {
    match piece.source {
        End::Mounted { dir, .. } => {
            for &n in these {
                let equal = match piece.target {
                    // Where files are written in place, one may be there in part.
                    End::Mounted { dir: target, .. }
                        if piece.rclone.version.publishes_by_rename() =>
                    {
                        at_both(dir, target, claims, n, piece.options)
                    }
                    _ => None,
                };
                if let Some(claim) = equal.or_else(|| at_source(dir, claims, n)) {
                    claims.set(n, claim);
                }
            }
        }
        End::Remote(remote) => {
            let there = on_remote(piece, remote, claims, these, private, watch)?;
            for &n in these {
                if !there.contains(claims.files()[n].path.as_bytes()) {
                    claims.set(n, Claim::Vanished);
                }
            }
        }
        // Only targets are.
        End::Imagined { .. } => {}
    }
    Ok(())
}

/// What rclone need not say where both ends are mounted: that it left the file alone, since nothing was to be copied.
pub(crate) fn at_both(
    source: &Dir,
    target: &Dir,
    claims: &Claims,
    n: usize,
    options: &CopyOptions,
) -> Option<Claim> {
    let path = &claims.files()[n].path;
    let (_, name) = path.split_last()?;
    let [source, target] = [source, target].map(|root| open_parent(root, path)?.stat(name));
    let (source, target) = (source.ok()?, target.ok()?);
    if (source.kind, target.kind) != (Kind::File, Kind::File) {
        return None;
    }
    match compare_files(&source, &target, options, false) {
        Comparison::Equal | Comparison::AttributesDiffer => Some(Claim::Unchanged),
        Comparison::NewerAtTarget => Some(Claim::Newer),
        Comparison::ContentDiffers | Comparison::MustBeRead => None,
    }
}

/// What keeps rclone from the file; `None`: nothing that we can see.
fn at_source(source: &Dir, claims: &Claims, n: usize) -> Option<Claim> {
    let path = &claims.files()[n].path;
    let (_, name) = path.split_last()?;
    let failed = |error: &str| Some(Claim::Failed(error.into()));
    let looked = open_parent(source, path).and_then(|parent| {
        let meta = parent.stat(name)?;
        Ok((parent, meta))
    });
    match looked {
        Ok((_, meta)) if meta.kind != Kind::File => failed("it became another kind of entry"),
        Ok((parent, _)) => match parent.open_file(name) {
            Ok(_) => None,
            Err(error) if error.is_missing() => Some(Claim::Vanished),
            Err(error) => failed(&describe(&error)),
        },
        Err(error) if error.is_missing() => Some(Claim::Vanished),
        Err(error) => failed(&describe(&error)),
    }
}

/// Those of the names that the remote has.
fn on_remote(
    piece: &Piece<'_>,
    remote: &str,
    claims: &Claims,
    these: &[usize],
    private: &PrivateDir,
    watch: &mut Watch<'_>,
) -> Result<HashSet<Vec<u8>>, Stopped> {
    let names = these.iter().flat_map(|&n| {
        let path = claims.files()[n].path.as_bytes();
        [path, b"\n"]
    });
    let list = private
        .write("looked-up", names)
        .map_err(|e| Stopped::Again(format!("cannot write a list for rclone: {e}")))?;
    let listing = RemoteListing {
        rclone: piece.rclone,
        config: piece.config,
        remote,
        only: Some(Only::ByName(&list)),
        depth: Depth::All,
        times: Times::NotAsked,
        settings: piece.settings,
    };
    let mut there = HashSet::new();
    let listed = list_remote(&listing, watch.cancel, &mut |entry| {
        there.insert(entry.path.into_bytes());
        Ok(())
    });
    match listed {
        Ok(Listed::All) => Ok(there),
        // What it could not look at may be there.
        Ok(Listed::Part(said)) => Err(Stopped::Again(said)),
        Err(_) if watch.cancel.is_cancelled() => Err(Stopped::Cancelled),
        Err(error) => Err(Stopped::Again(model::error_chain(&error))),
    }
}
