//! What a full target lacks, as a message.

use model::NoRoom;

use crate::proto;

impl From<NoRoom> for proto::NoRoom {
    fn from(what: NoRoom) -> Self {
        match what {
            NoRoom::Space => proto::NoRoom::Space,
            NoRoom::Quota => proto::NoRoom::Quota,
            NoRoom::ReadOnly => proto::NoRoom::ReadOnly,
        }
    }
}

/// Of a worker that doesn't say, it is taken to be that which concerns the fewest others.
impl From<proto::NoRoom> for NoRoom {
    fn from(what: proto::NoRoom) -> Self {
        match what {
            proto::NoRoom::Space => NoRoom::Space,
            proto::NoRoom::Quota | proto::NoRoom::Unspecified => NoRoom::Quota,
            proto::NoRoom::ReadOnly => NoRoom::ReadOnly,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{NoRoom, proto};

    #[test]
    fn what_a_target_lacks_arrives_as_it_was_sent() {
        for what in [NoRoom::Space, NoRoom::Quota, NoRoom::ReadOnly] {
            let sent: i32 = proto::NoRoom::from(what).into();
            let taken = proto::NoRoom::try_from(sent).unwrap();
            assert_eq!(NoRoom::from(taken), what);
        }
        assert!(!NoRoom::from(proto::NoRoom::Unspecified).is_of_whole_volume());
    }
}
