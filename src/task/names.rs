//! Enums whose values have names that other programs and existing ledgers know. Each name is written once, at its value.

/// Gives an enum its list of values, its names, and a stored form that is the name. The enum derives `EnumString`,
/// `IntoStaticStr` and `VariantArray` of `strum`.
macro_rules! stored_by_name {
    ($type:ident) => {
        impl $type {
            /// All values, for tables and tests.
            pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

            /// The name: on the wire, in the configuration and in the ledger.
            #[must_use]
            pub fn name(self) -> &'static str {
                self.into()
            }

            /// The value of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                name.parse().ok()
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = <String as serde::Deserialize>::deserialize(deserializer)?;
                let unknown = || serde::de::Error::custom(concat!("not a name of ", stringify!($type)));
                Self::from_name(&name).ok_or_else(unknown)
            }
        }
    };
}
pub(crate) use stored_by_name;
